"""What deploy/ says for people and shells is held to what the program does: manual pages, completions, logrotate, sysctls,
and the paths that the texts name."""

import json
import os
import pathlib
import re
import shutil

import running_server
from tap import Cases, Skip, expect

DEPLOY = running_server.ROOT / "deploy"


def commands_of_the_program():
    text = running_server.run(running_server.BINARY, "--help").stdout
    block = text[text.index("usage:") : text.index("--help")]
    return set(re.findall(r"^  ([a-z]+)\b", block, re.MULTILINE)) | {"help", "version"}


def same_commands(found):
    commands = commands_of_the_program()
    expect(commands <= found, "missing:", commands - found)
    expect(found <= commands, "the program does not have", found - commands)


def page_lists_every_command():
    text = (DEPLOY / "man/ringmaster.1").read_text()
    same_commands(set(re.findall(r"^\.It Cm ([a-z]+)", text, re.MULTILINE)))


def built_page():
    return pathlib.Path(os.environ["RINGMASTER_JSON_5"])


def schema_keys(schema):
    def walk(node, path):
        if "$ref" in node:
            node = {**schema["$defs"][node["$ref"].rsplit("/", 1)[1]], **node}
        for key, member in node.get("properties", {}).items():
            member_path = f"{path}.{key}" if path else key
            yield member_path
            yield from walk(member, member_path)
        if "items" in node:
            yield from walk(node["items"], path + "[]")

    return list(walk(schema, ""))


def page_lists_every_key():
    schema = json.loads((DEPLOY / "ringmaster.schema.json").read_text())
    listed = re.findall(r'^\.It Va "([^"]*)"', built_page().read_text(), re.MULTILINE)
    expect(listed == schema_keys(schema), set(listed) ^ set(schema_keys(schema)))
    expect(len(listed) > 100, listed)


def page_is_formatted_without_complaint(page):
    if shutil.which("man") is None:
        raise Skip("man is not installed (Debian: man-db)")
    result = running_server.run("man", "--warnings", "-E", "UTF-8", "-l", page, env={**os.environ, "MANWIDTH": "100"})
    expect(result.returncode == 0 and not result.stderr, result)
    expect("NAME" in result.stdout and len(result.stdout.splitlines()) > 50, result.stdout)


def complete(*words):
    """What bash offers for the last of the words."""
    script = (
        f"source {DEPLOY / 'completion/ringmaster.bash'}; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); "
        '_ringmaster; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    result = running_server.run("bash", "-c", script, "bash", "ringmaster", *words)
    expect(result.returncode == 0 and not result.stderr, result)
    return set(result.stdout.split())


def bash_completes_every_command():
    same_commands(complete("") - {"--help", "--version"})
    expect(complete("do") == {"doctor"}, complete("do"))


# An option that the program does not have for that command is wrong usage, status 2.
def bash_completes_the_programs_options():
    values = {"--sort": "idle", "--top": "3", "--worker": "0", "--peer": "10.0.0.0/8", "--protocol": "http"}
    values |= {"--state": "open", "--min-idle": "1s", "--min-age": "1s", "--min-queue": "1KiB"}
    with running_server.scratch_directory() as directory:
        file = running_server.configuration(directory)
        for command in commands_of_the_program() - {"start", "help", "version"}:
            for option in complete(command, "-"):
                arguments = [command, option] + ([values[option]] if option in values else []) + [file]
                result = running_server.run(running_server.BINARY, *arguments)
                expect(result.returncode != 2, arguments, result.stderr)
    expect(complete("connections", "--s") == {"--sort", "--state"}, complete("connections", "--s"))
    expect("queue" in complete("connections", "--sort", "q"), complete("connections", "--sort", "q"))


def bash_completes_configurations():
    with running_server.scratch_directory() as directory:
        (directory / "a.json").touch()
        (directory / "a.txt").touch()
        (directory / "abc").mkdir()
        found = complete("start", f"{directory}/a")
        expect(found == {f"{directory}/a.json", f"{directory}/abc/"}, found)


def bash_completion_is_sound():
    if shutil.which("shellcheck") is None:
        raise Skip("shellcheck is not installed")
    result = running_server.run("shellcheck", DEPLOY / "completion/ringmaster.bash")
    expect(result.returncode == 0, result.stdout)


def zsh_completes_every_command():
    text = (DEPLOY / "completion/_ringmaster").read_text()
    same_commands(set(re.findall(r"^    '([a-z]+):", text, re.MULTILINE)))
    if shutil.which("zsh"):
        result = running_server.run("zsh", "-n", DEPLOY / "completion/_ringmaster")
        expect(result.returncode == 0 and not result.stderr, result)


def logrotate_understands_its_file():
    if shutil.which("logrotate") is None:
        raise Skip("logrotate is not installed")
    with running_server.scratch_directory() as directory:
        logs = directory / "log"
        logs.mkdir()
        logs.chmod(0o750)
        (logs / "ringmaster.log").write_text("a line\n")
        text = (DEPLOY / "logrotate/ringmaster").read_text()
        # As the user that runs the test: the package's own does not exist here.
        text = text.replace("/var/log/ringmaster", str(logs)).replace("su ringmaster ringmaster", "")
        text = text.replace("create 0640 ringmaster ringmaster", "create 0640")
        text = text.replace("/run/systemd/system", str(directory / "none"))
        text = text.replace("/run/ringmaster/", f"{directory}/")
        file = directory / "ringmaster"
        file.write_text(text)
        file.chmod(0o644)
        result = running_server.run("logrotate", "--force", "--state", directory / "state", file)
        expect(result.returncode == 0 and not result.stderr, result)
        expect((logs / "ringmaster.log.1").read_text() == "a line\n", list(logs.iterdir()))
        expect((logs / "ringmaster.log").read_text() == "", list(logs.iterdir()))


# Each setting has a reason above it and, where this kernel has it, a value that it would take.
def sysctls_are_real():
    explained = False
    settings = 0
    for line in (DEPLOY / "sysctl/90-ringmaster.conf").read_text().splitlines():
        if line.startswith("#"):
            explained = True
        elif not line:
            explained = False
        else:
            settings += 1
            name, value = (part.strip() for part in line.lstrip("-").split("=", 1))
            expect(explained, line)
            file = pathlib.Path("/proc/sys") / name.replace(".", "/")
            optional = line.startswith("-")
            # A network namespace or a sandbox may hide some.
            if file.exists():
                expect(len(file.read_text().split()) in (0, len(value.split())), line, file.read_text())
            else:
                expect(optional or name.startswith(("net.", "fs.")), line)
    expect(settings >= 10, settings)


def texts_name_what_is_there():
    for file in sorted(running_server.ROOT.glob("engine/doctor/*.cc")) + sorted(DEPLOY.rglob("*.md")):
        for name in re.findall(r"\bdeploy/[\w./@-]*\w", file.read_text()):
            expect((running_server.ROOT / name).exists(), file, "names", name)


def default_configurations_are_sound():
    for file in (DEPLOY / "ringmaster.json", DEPLOY / "container/ringmaster.json"):
        text = file.read_text().replace("/srv/www", "/")
        with running_server.scratch_directory() as directory:
            copy = directory / file.name
            copy.write_text(text)
            result = running_server.run(running_server.BINARY, "check", copy)
            expect(result.returncode == 0, result)


def main():
    with Cases() as cases:
        cases.run("ringmaster(1) lists every command", page_lists_every_command)
        cases.run("ringmaster.json(5) lists every key", page_lists_every_key)
        for page in (DEPLOY / "man/ringmaster.1", built_page()):
            cases.run(f"{page.name} is formatted without complaint", page_is_formatted_without_complaint, page)
        cases.run("bash completes every command", bash_completes_every_command)
        cases.run("bash completes options that the program takes", bash_completes_the_programs_options)
        cases.run("bash completes configurations and directories", bash_completes_configurations)
        cases.run("the bash completion is sound for shellcheck", bash_completion_is_sound)
        cases.run("zsh completes every command", zsh_completes_every_command)
        cases.run("logrotate rotates by its file", logrotate_understands_its_file)
        cases.run("each sysctl is one, with a reason", sysctls_are_real)
        cases.run("texts name files that are there", texts_name_what_is_there)
        cases.run("the default configurations are sound", default_configurations_are_sound)


if __name__ == "__main__":
    main()
