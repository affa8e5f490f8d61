"""Generates clients from openapi.yaml with the common generators, and compiles them: python tests/generators.py [name…]

openapi-typescript, OpenAPI Generator (typescript-fetch and python) and openapi-python-client must keep every operation and every
property of every schema. An unknown warning of a generator is an error. The examples of the API are read with the Python clients.

It needs PyYAML, both Python generators and mypy in its own environment, Java, and the packages of clients/typescript.
"""

import concurrent.futures
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
OPENAPI = ROOT / "openapi.yaml"
WORK = ROOT / (os.environ.get("CARGO_TARGET_DIR") or "target") / "generators"
NODE = ROOT / "clients/typescript/node_modules/.bin"
METHODS = {"get", "put", "post", "delete", "patch", "head", "options"}

# Messages that leave nothing out, with their reason.
HARMLESS = {
    "OpenAPI 3.1 support is still in beta": "every run has it",
    "Failed to get the schema name: null": "a condition without a name, which generators ignore",
    "cannot be used as model name. Renamed": "an internal name of a query parameter",
    "cannot be used as a model name. Renamed": "the same",
    "Failed to lookup model in createImportMapOfSet": "a list of distinct texts needs no import",
    "Failed to look up object from the imports (map of set)": "the same",
    "Codegen property is null": "an object with any members has the type Any",
}
# OpenAPI Generator's own runtime does not pass mypy. Its models and operations do.
RUNTIME = ("openapi_client/configuration.py", "openapi_client/api_client.py", "openapi_client/rest.py")


class CheckFailed(Exception):
    pass


def run(command, where=None, **variables):
    """Runs a command and returns its output, also that of errors."""
    environment = {**os.environ, **variables}
    done = subprocess.run([str(part) for part in command], cwd=where, env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise CheckFailed(f"{' '.join(map(str, command))}:\n{done.stdout[-4000:]}")
    return done.stdout


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class Api:
    """The description: operations, and the properties of each schema with those of its parts."""

    def __init__(self):
        self.document = yaml.safe_load(OPENAPI.read_text(encoding="utf-8"))
        self.schemas = self.document["components"]["schemas"]
        paths = self.document["paths"].values()
        self.operations = [item[method] for item in paths for method in METHODS & item.keys()]
        self.ids = sorted(operation["operationId"] for operation in self.operations)

    def resolve(self, value):
        while "$ref" in value:
            found = self.document
            for part in value["$ref"].split("/")[1:]:
                found = found[part]
            value = found
        return value

    def properties(self, schema):
        schema = self.resolve(schema)
        own = set(schema.get("properties", {}))
        return own.union(*(self.properties(part) for part in schema.get("allOf", [])))

    def objects(self):
        """The schemas with properties, by name. One that only repeats another needs no type of its own."""
        for name, schema in self.schemas.items():
            is_alias = len(schema.get("allOf", [])) == 1 and "properties" not in schema
            if not is_alias and (properties := self.properties(schema)):
                yield name, properties

    def examples(self):
        """The examples of JSON responses whose schema has a name, as pairs of the name and the value."""
        for operation in self.operations:
            for response in operation["responses"].values():
                for media in self.resolve(response).get("content", {}).values():
                    name = media.get("schema", {}).get("$ref", "").split("/")[-1]
                    for example in media.get("examples", {}).values() if name else []:
                        yield name, self.resolve(example)["value"]

    def check(self):
        """Each generator makes one class or module per tag."""
        for operation in self.operations:
            if len(operation["tags"]) != 1:
                raise CheckFailed(f"{operation['operationId']} has not one tag")


def complain(generator, problems):
    if problems:
        raise CheckFailed(f"{generator}: " + "\n  ".join(["", *problems[:40]]))


def check_warnings(output):
    """Finds unknown warnings in the output of OpenAPI Generator."""
    lines = [line for line in output.splitlines() if re.search(r"\b(WARN|ERROR|Exception)\b", line)]
    return [line[:300] for line in lines if not any(text in line for text in HARMLESS)]


def check_models(api, models, file_of, property_text):
    """Finds schemas without a file, and properties that are missing in the file of their schema."""
    problems = []
    for name, properties in api.objects():
        path = models / file_of(name)
        text = path.read_text() if path.exists() else ""
        problems += [f"{name} lacks {member}" for member in sorted(properties) if property_text(member) not in text]
    return problems


def check_operations(api, folder, text_of):
    """Finds operations whose text is in no file of the folder."""
    text = "\n".join(path.read_text() for path in sorted(folder.rglob("*.*")) if path.suffix in {".py", ".ts"})
    return [f"no operation {name}" for name in api.ids if text_of(name) not in text]


def check_python(package, where, examples):
    """Compiles a package, checks its types, imports each module, and reads the examples with its models."""
    run([sys.executable, "-m", "compileall", "-q", package], where)
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--no-incremental", package]
    output = subprocess.run(command, cwd=where, capture_output=True, text=True).stdout
    complain(package, [line for line in output.splitlines() if ": error:" in line and not line.startswith(RUNTIME)])
    (where / "examples.json").write_text(json.dumps(examples))
    run([sys.executable, "-c", IMPORT_ALL, package], where)


IMPORT_ALL = """
import importlib, json, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
models = importlib.import_module(package.__name__ + ".models")
for name, value in json.load(open("examples.json")):
    try:
        read = getattr(models, name).from_dict(value).to_dict()
    except Exception as error:
        sys.exit(f"an example of {name} cannot be read: {error!r}")
    if missing := {key for key, of in value.items() if of is not None} - read.keys():
        sys.exit(f"{name} loses {missing}")
"""


def openapi_typescript(api, directory):
    target = directory / "schema.ts"
    run([NODE / "openapi-typescript", OPENAPI, "--output", target])
    text = target.read_text()
    complain("openapi-typescript", [
        *(f"no operation {name}" for name in api.ids if f"    {name}: {{" not in text),
        *(f"no schema {name}" for name in api.schemas if f"        {name}: " not in text),
    ])
    compile_typescript(directory)


def compile_typescript(directory):
    (directory / "tsconfig.json").write_text(json.dumps({
        "compilerOptions": {"strict": True, "noEmit": True, "target": "ES2022", "module": "ESNext",
                            "moduleResolution": "bundler", "lib": ["ES2022", "DOM", "DOM.Iterable"], "types": []},
        "include": ["**/*.ts"],
    }))
    run([NODE / "tsc", "--project", directory])


def openapi_generator(name, directory):
    jar = Path(importlib.util.find_spec("openapi_generator_cli").origin).parent / "openapi-generator.jar"
    return run(["java", "-jar", jar, "generate", "-i", OPENAPI, "-g", name, "-o", directory])


def typescript_fetch(api, directory):
    output = openapi_generator("typescript-fetch", directory)
    complain("typescript-fetch", [
        *check_warnings(output),
        *check_operations(api, directory / "apis", lambda name: f"async {name}("),
        *check_models(api, directory / "models", lambda name: f"{name}.ts", lambda member: f"json['{member}']"),
    ])
    compile_typescript(directory)


def generator_python(api, directory):
    output = openapi_generator("python", directory)
    package = directory / "openapi_client"
    complain("python", [
        *check_warnings(output),
        *check_operations(api, package / "api", lambda name: f"def {snake(name)}("),
        *check_models(api, package / "models", lambda name: f"{snake(name)}.py", lambda member: f'"{member}"'),
    ])
    check_python("openapi_client", directory, list(api.examples()))


def openapi_python_client(api, directory):
    # The same operations are generated with the body `application/octet-stream`.
    expected = "Unsupported content type application/x-ndjson"
    config = directory / "config.yaml"
    config.write_text("post_hooks: []\n")
    package = directory / "live_classes_client"
    output = run([Path(sys.executable).parent / "openapi-python-client", "generate", "--path", OPENAPI, "--meta", "none",
                  "--output-path", package, "--config", config])
    left_out = re.findall(r".*(?:not be generated|Unable|Unsupported|Could not).*", output.replace(expected, ""))
    modules = {path.stem for path in (package / "api").rglob("*.py")}
    complain("openapi-python-client", [
        *left_out,
        *(f"no operation {name}" for name in api.ids if snake(name) not in modules),
        *check_models(api, package / "models", lambda name: f"{snake(name)}.py", lambda member: f'"{member}"'),
    ])
    check_python("live_classes_client", directory, list(api.examples()))


GENERATORS = {
    "openapi-typescript": openapi_typescript,
    "typescript-fetch": typescript_fetch,
    "python": generator_python,
    "openapi-python-client": openapi_python_client,
}


def attempt(name, api):
    directory = WORK / name
    directory.mkdir(parents=True)
    began = time.monotonic()
    try:
        GENERATORS[name](api, directory)
    except CheckFailed as error:
        return f"FAILED {name}: {error}"
    print(f"{name}: {len(api.ids)} operations, {len(api.schemas)} schemas, {time.monotonic() - began:.0f} s", flush=True)
    return None


def main(names):
    shutil.rmtree(WORK, ignore_errors=True)
    api = Api()
    api.check()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        failures = [failure for failure in threads.map(lambda name: attempt(name, api), names or GENERATORS) if failure]
    print(*failures, sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
