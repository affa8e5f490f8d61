"""Checks template.yaml as SAM transforms it: all callers use the functions' alias, and the parameter `Rollout` decides how a
new version gets requests.

  python tests/transformed.py

.ci/run runs it with SAM's Python.
"""

import logging
import os
import pathlib
import re

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
ALIAS = "live"
# They belong to the function itself.
OWN = {"AWS::Lambda::Version", "AWS::Lambda::Alias"}


class NoManagedPolicies:
    def load(self):
        return {}


def transformed(rollout):
    template = yaml_parse((ROOT / "template.yaml").read_text())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # As after `sam package`.
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    return transform(template, {"Rollout": rollout}, NoManagedPolicies())["Resources"]


def references(value):
    """Yields the logical ids that a part of a template refers to."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "Ref":
                yield item
            elif key == "Fn::GetAtt":
                yield item[0] if isinstance(item, list) else item.split(".")[0]
            elif key == "Fn::Sub":
                yield from re.findall(r"\$\{(\w+)", item if isinstance(item, str) else item[0])
            yield from references(item)


def check_callers(resources):
    functions = {name for name, one in resources.items() if one["Type"] == "AWS::Lambda::Function"}
    callers = dict.fromkeys(functions, 0)
    for name, resource in resources.items():
        called = set(references(resource["Properties"])) & functions
        through_alias = resource["Type"] in OWN or resource["Properties"].get("Qualifier") == ALIAS
        assert through_alias or not called, f"{name} refers to {called} instead of the alias"
        for reference in references(resource["Properties"]):
            if reference.endswith(f"Alias{ALIAS}"):
                callers[reference.removesuffix(f"Alias{ALIAS}")] += 1
    assert functions and all(callers.values()), f"functions without a caller: {callers}"
    return sum(callers.values())


def check_rollout(resources, is_gradual):
    for name, resource in resources.items():
        kind = resource["Type"]
        assert is_gradual or not kind.startswith("AWS::CodeDeploy::"), name
        if kind == "AWS::Lambda::Alias":
            assert ("CodeDeployLambdaAliasUpdate" in resource.get("UpdatePolicy", {})) == is_gradual, name
        if kind == "AWS::CodeDeploy::DeploymentGroup":
            assert resource["Properties"]["AlarmConfiguration"]["Enabled"], name


def main():
    # SAM reports missing feature toggles.
    logging.disable()
    os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")
    rollouts = yaml_parse((ROOT / "template.yaml").read_text())["Parameters"]["Rollout"]["AllowedValues"]
    for rollout in rollouts:
        resources = transformed(rollout)
        count = check_callers(resources)
        check_rollout(resources, rollout != "AllAtOnce")
        print(f"{rollout}: {len(resources)} resources, and {count} references to functions, all to the alias")


main()
