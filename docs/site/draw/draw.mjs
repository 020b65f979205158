// Draws pictures from their texts: draw.mjs FILE.d2…, each to the FILE.svg beside it, in colours for light and for dark pages.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { D2 } from "@terrastruct/d2";

const options = { layout: "elk", themeID: 0, darkThemeID: 200, pad: 24, noXMLTag: true };
const d2 = new D2();
for (const file of process.argv.slice(2)) {
    const text = readFileSync(file, "utf8");
    const { diagram, renderOptions } = await d2.compile(text, options);
    const svg = await d2.render(diagram, { ...renderOptions, ...options });
    const digest = createHash("sha256").update(text).digest("hex");
    writeFileSync(file.replace(/\.d2$/, ".svg"), `${svg}\n<!-- drawn from the text with SHA-256 ${digest} -->\n`);
}
process.exit(0);
