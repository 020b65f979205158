// A tus server as its authors show it: server.mjs PORT FOLDER. Files keep the name that the client gives them.
import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'

const [port, directory] = process.argv.slice(2)

new Server({
  path: '/files',
  datastore: new FileStore({ directory }),
  namingFunction: (_request, metadata) => metadata.filename,
}).listen({ host: '127.0.0.1', port: Number(port) })
