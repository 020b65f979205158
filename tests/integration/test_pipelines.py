"""The pipelines in docs/pipelines: held to their schemas and grammar, and each step that is a shell's is run, in its order.

What GitHub, GitLab and Jenkins would put in place is put in place here: their variables, the secrets of their stores, and the job that
trains. The image is this environment; what it would be built from is asked of ansible-builder.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import typing as t
from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_groovy
import yaml

from .conftest import ROOT, Client, MiB, Service, make_file, sha256_of
from .test_roundtrip_ansible import BIN, collections_path

PIPELINES = ROOT / "docs" / "pipelines"
WEIGHTS = "weights.safetensors"


class Runner:
    """A machine that runs the steps of a job: a workspace, and variables."""

    def __init__(self, client: Client, work: Path) -> None:
        self.client = client
        self.workspace = work / "workspace"
        self.workspace.mkdir()
        self.weights = make_file(work / WEIGHTS, 20 * MiB)
        (self.workspace / "Makefile").write_text(f"weights:\n\tmkdir -p build && cp {self.weights} build/{WEIGHTS}\n")
        known = client.environment()
        self.secrets = {name: known.pop(name) for name in list(known) if name.startswith("BIGFILE_")}
        self.base = {
            **known,
            "PATH": os.pathsep.join([str(BIN), known["PATH"]]),
            "HOME": str(client.folder),
            "ANSIBLE_HOME": str(client.folder / ".ansible"),
            "ANSIBLE_COLLECTIONS_PATH": collections_path(),
            "ANSIBLE_NOCOLOR": "1",
        }

    def run(self, script: str, *shell: str, **variables: str) -> str:
        done = subprocess.run(
            [*shell, "-e", "-c", script],
            cwd=self.workspace,
            env={**self.base, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}"
        assert self.secrets["BIGFILE_PASSWORD"] not in done.stdout
        with self.client.transcript.open("a") as transcript:
            transcript.write(done.stdout)
        return done.stdout

    def receipt(self) -> dict[str, t.Any]:
        """The receipt, as jq reads it."""
        read = subprocess.run(["jq", "-c", ".", "receipt.json"], cwd=self.workspace, stdout=subprocess.PIPE, check=True)
        return t.cast("dict[str, t.Any]", json.loads(read.stdout))


@pytest.fixture
def runner(client: Client, work: Path) -> Runner:
    return Runner(client, work)


def holds_to(schema: str, pipeline: Path) -> subprocess.CompletedProcess[str]:
    """The verdict of a schema that check-jsonschema brings along."""
    command = [str(BIN / "check-jsonschema"), "--builtin-schema", schema, str(pipeline)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


SCHEMAS = [("github-actions.yml", "vendor.github-workflows"), ("gitlab-ci.yml", "vendor.gitlab-ci")]


@pytest.mark.parametrize(("name", "schema"), SCHEMAS)
def test_the_file_is_what_its_schema_asks_for(name: str, schema: str) -> None:
    verdict = holds_to(schema, PIPELINES / name)
    assert verdict.returncode == 0, verdict.stdout


@pytest.mark.parametrize(("name", "schema"), SCHEMAS)
def test_the_schema_finds_a_misspelt_word(name: str, schema: str, tmp_path: Path) -> None:
    text = (PIPELINES / name).read_text()
    (tmp_path / name).write_text(re.sub(r"^( +)(runs-on|script):", r"\1misspelt:", text, flags=re.MULTILINE))
    assert holds_to(schema, tmp_path / name).returncode == 1


def filled(text: str, known: dict[str, str]) -> str:
    """A value of a workflow with its ``${{ expressions }}`` looked up; one that nobody knows is an error."""
    return re.sub(r"\$\{\{ *([\w.]+) *\}\}", lambda found: known[found[1]], text)


def test_the_steps_of_github_actions_upload_and_tell(runner: Runner, service: Service) -> None:
    jobs = yaml.safe_load((PIPELINES / "github-actions.yml").read_text())["jobs"]
    output, summary = runner.workspace / "output", runner.workspace / "summary"
    known = {"github.ref_name": "v1", "secrets.BIGFILE_PASSWORD": runner.secrets["BIGFILE_PASSWORD"]}
    known |= {f"vars.{name}": runner.secrets[name] for name in ("BIGFILE_ENDPOINT", "BIGFILE_USERNAME")}
    known["vars.BIGFILE_ASSEMBLER_PUBLIC_KEY"] = service.call("GET", "/v1/server").json()["public_key"]
    runner.base |= {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary), "BIGFILE_JOURNAL": str(runner.client.journal)}
    for job in (jobs["train"], jobs["ship"]):
        for step in job["steps"]:
            if "run" not in step:
                assert step["uses"].startswith("actions/")
                continue
            environment = {name: filled(text, known) for name, text in {**job.get("env", {}), **step.get("env", {})}.items()}
            runner.run(step["run"], "sh", **environment)
            written = (line.partition("=") for line in (output.read_text() if output.exists() else "").splitlines())
            known |= {f"steps.{step.get('id')}.outputs.{name}": text for name, _equals, text in written}
    assert sha256_of(service.root / "models" / "v1" / WEIGHTS) == runner.receipt()["sha256"] == sha256_of(runner.weights)
    assert "models/v1/weights.safetensors" in summary.read_text()
    shown = re.search(r"^```json\n(.*?)^```", (ROOT / "docs" / "pipelines.md").read_text(), re.MULTILINE | re.DOTALL)
    assert shown and json.loads(shown[1]).keys() == runner.receipt().keys()


def test_the_scripts_of_gitlab_upload_and_tell(runner: Runner, service: Service) -> None:
    pipeline = yaml.safe_load((PIPELINES / "gitlab-ci.yml").read_text())
    project = {"CI_PROJECT_DIR": str(runner.workspace), "CI_COMMIT_REF_NAME": "main"}
    variables = {name: text.replace("$CI_PROJECT_DIR", str(runner.workspace)) for name, text in pipeline["ship"]["variables"].items()}
    of_project = {**runner.secrets, **project}
    for job, environment in (("train", project), ("ship", {**of_project, **variables})):
        runner.run("\n".join(pipeline[job]["script"]), "bash", "-o", "pipefail", **environment)
    assert sha256_of(service.root / "models" / "main" / WEIGHTS) == runner.receipt()["sha256"] == sha256_of(runner.weights)
    assert (runner.workspace / ".bigfile" / "journal.db").exists()


def groovy(text: str) -> tree_sitter.Tree:
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_groovy.language())).parse(text.encode())


def strings_of(tree: tree_sitter.Tree, function: str) -> list[str]:
    """What a function is called with, wherever it is."""
    found, todo = [], [tree.root_node]
    while todo:
        node = todo.pop()
        todo += reversed(node.children)
        call = re.match(rf"{function} ('''|')(.*)\1$", (node.text or b"").decode(), re.DOTALL)
        if call and not any(child.text == node.text for child in node.children):
            found.append(call[2])
    return found


def test_the_jenkinsfile_is_groovy() -> None:
    text = (PIPELINES / "Jenkinsfile").read_text()
    assert not groovy(text).root_node.has_error
    assert groovy(text.replace("{", "", 1)).root_node.has_error


def test_the_steps_of_jenkins_upload_and_tell(runner: Runner, service: Service) -> None:
    runner.run("make weights", "sh")
    steps = strings_of(groovy((PIPELINES / "Jenkinsfile").read_text()), "sh")
    assert len(steps) == 2
    for step in steps:
        # In a string of Groovy a backslash at the end of a line takes the line's end away, as it does for the shell.
        runner.run(step.replace("\\\n", ""), "sh", **runner.secrets, WORKSPACE=str(runner.workspace), BUILD_NUMBER="7")
    assert sha256_of(service.root / "models" / "7" / WEIGHTS) == runner.receipt()["sha256"] == sha256_of(runner.weights)


def builder(*arguments: str | Path) -> str:
    command = [str(BIN / "ansible-builder"), *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_an_execution_environment_gets_the_libraries_that_the_collection_names() -> None:
    told = yaml.safe_load(builder("introspect", collections_path()).partition("---\n")[2])
    wanted = (ROOT / "requirements.txt").read_text().splitlines()
    assert {line.partition("#")[0].strip() for line in told["python"]} == set(wanted)


def test_the_image_of_the_pipelines_can_be_described(tmp_path: Path) -> None:
    builder("create", "-f", PIPELINES / "execution-environment.yml", "-c", tmp_path, "--output-filename", "Containerfile")
    collections = yaml.safe_load((tmp_path / "_build" / "requirements.yml").read_text())["collections"]
    assert [one["name"] for one in collections] == ["bigfile.oci"]
    assert (tmp_path / "_build" / "bindep.txt").read_text().split()[0] == "jq"
    assert "RUN ansible-galaxy" in (tmp_path / "Containerfile").read_text()
