"""The program of an archive (``models/*.json``), written anew from the parts that are let through.

Nothing is copied unseen. Names become identifiers of generated code, so they must be identifiers;
sizes are evaluated, so they must be arithmetic (``expressions``); what is called must be on a list
(``operators``); devices are all the CPU; guards, traces of the author's files, custom objects and
types of other libraries are left out or refused.

Schema: ``torch/_export/serde/schema.py``, version 8.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from core.errors import BadModel, shortened
from core.models.exported import operators
from core.models.exported.expressions import is_symbol
from core.models.exported.structure import tree
from core.models.exported.values import Refusal, Values

_KEY = re.compile(r"[A-Za-z0-9_@.]{1,1024}", re.ASCII)
_DEEPEST = 8


class Program(Values):
    """What was read: ``content`` to be written, and what is worth telling about it.

    ``operators`` counts the calls; ``inputs`` are names and meta data of what a person gives;
    ``weights`` and ``constants`` are the paths that need a tensor; ``training`` says that the
    program was exported without ``eval()``.
    """

    def __init__(self, raw: Any, refuse: Refusal) -> None:
        """Read and rebuild. Raises what ``refuse`` makes for everything that is not let through."""
        super().__init__(refuse)
        self.operators: Counter[str] = Counter()
        self.inputs: list[dict[str, Any]] = []
        self.weights: set[str] = set()
        self.constants: set[str] = set()
        self.training = False
        version = self._object(self._object(raw).get("schema_version", {}))
        if version.get("major") != 8:
            raise refuse("its format is not the one of PyTorch 2.6 to 2.13")
        module = self._object(raw["graph_module"]) if "graph_module" in raw else {}
        try:
            signature = self._signature(self._object(module["signature"]))
            graph = self._graph(self._object(module["graph"]), 0)
            calls = [self._call(each) for each in self._list(module["module_call_graph"])]
            ranges = {
                name: {key: self._bound(limits.get(key)) for key in ("min_val", "max_val")}
                for name, limits in self._object(raw.get("range_constraints", {})).items()
                if is_symbol(name)
            }
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise refuse(
                f"a part of its program is missing or of another kind ({error!r})"
            ) from None
        if not calls or calls[0]["fqn"] != "" or calls[0]["signature"] is None:
            raise refuse("it does not say how it is called")
        self.ranges = ranges
        self.graph = graph
        self.content = {
            "graph_module": {
                "graph": graph,
                "signature": signature,
                "module_call_graph": calls,
                "metadata": {},
                "treespec_namedtuple_fields": {},
            },
            "opset_version": {"aten": self._whole(raw.get("opset_version", {}).get("aten", 10))},
            "range_constraints": ranges,
            "schema_version": {"major": 8, "minor": self._whole(version.get("minor", 0))},
            "verifiers": ["TRAINING"],
            "torch_version": "2",
            "guards_code": [],
        }

    # The program

    def _graph(self, raw: Mapping[str, Any], depth: int) -> dict[str, Any]:
        if depth > _DEEPEST:
            raise self._refuse("its program is nested too deeply")
        if raw.get("custom_obj_values"):
            raise self._refuse("it holds objects of the author's own")
        graph = {
            "inputs": [self._argument(each, depth) for each in self._list(raw["inputs"])],
            "outputs": [self._argument(each, depth) for each in self._list(raw["outputs"])],
            "nodes": [self._node(each, depth) for each in self._list(raw["nodes"])],
            "is_single_tensor_return": self._bool(raw.get("is_single_tensor_return", False)),
            "custom_obj_values": {},
        }
        values = self._object(raw["tensor_values"])
        graph["tensor_values"] = {self._name(name): self.meta(v) for name, v in values.items()}
        for key in ("sym_int_values", "sym_bool_values", "sym_float_values"):
            sizes = self._object(raw.get(key, {}))
            graph[key] = {self._name(name): self._size(v) for name, v in sizes.items()}
        return graph

    def _node(self, raw: Any, depth: int) -> dict[str, Any]:
        node = self._object(raw)
        target = node["target"]
        if not isinstance(target, str) or not operators.allowed(target):
            reason = (
                f"it calls {shortened(repr(target), 80)}, which is not on the list of operators"
            )
            raise BadModel(
                self._refuse(reason).message,
                "Write that step with PyTorch's own operators on tensors, and export it again.",
            )
        short = target.removeprefix("torch.ops.").removesuffix(".default")
        self.operators[short] += 1
        inputs = []
        for each in self._list(node["inputs"]):
            name = each["name"]
            inputs.append(
                {
                    "name": name if name in ("", "from") else self._name(name),
                    "arg": self._argument(each["arg"], depth),
                    "kind": each["kind"] if each.get("kind") in (1, 2) else None,
                }
            )
            if name in ("train", "training") and inputs[-1]["arg"] == {"as_bool": True}:
                self.training = True
        name = node.get("name")
        single = node.get("is_hop_single_tensor_return")
        return {
            "target": target,
            "inputs": inputs,
            "outputs": [self._argument(each, depth) for each in self._list(node["outputs"])],
            "metadata": self._place(self._object(node.get("metadata", {}))),
            "is_hop_single_tensor_return": None if single is None else self._bool(single),
            "name": None if name is None else self._name(name),
        }

    def _place(self, metadata: Mapping[str, Any]) -> dict[str, str]:
        """In which layers a step lies: ``key,path,kind`` of each, from the outermost."""
        text = metadata.get("nn_module_stack")
        if not isinstance(text, str) or not text:
            return {}
        entries = []
        for entry in text.split(";"):
            key, _, rest = entry.partition(",")
            path, _, kind = rest.partition(",")
            if not _KEY.fullmatch(key):
                raise self._refuse(f"a layer is called {shortened(repr(key), 60)}")
            # Of a class of the author's own only its name is kept.
            last = re.split(r"[^A-Za-z0-9_]", kind)[-1] or "Module"
            standard = re.fullmatch(r"torch\.nn\.modules\.[a-z_]+\.[A-Za-z0-9_]+", kind, re.ASCII)
            entries.append(f"{key},{self._path(path)},{kind if standard else f'own.{last[:80]}'}")
        return {"nn_module_stack": ";".join(entries)}

    # How it is called

    def _signature(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "input_specs": [self._input(each) for each in self._list(raw["input_specs"])],
            "output_specs": [self._output(each) for each in self._list(raw["output_specs"])],
        }

    def _input(self, value: Any) -> dict[str, Any]:
        kind, inner = self._union(value)
        if kind == "user_input":
            argument = self._argument(inner["arg"], 0)
            self.inputs.append(argument)
            return {kind: {"arg": argument}}
        if kind == "parameter":
            path = self._path(inner["parameter_name"])
            self.weights.add(path)
            return {kind: {"arg": self._named(inner["arg"]), "parameter_name": path}}
        if kind == "buffer":
            path, persistent = self._path(inner["buffer_name"]), self._bool(inner["persistent"])
            (self.weights if persistent else self.constants).add(path)
            argument = self._named(inner["arg"])
            return {kind: {"arg": argument, "buffer_name": path, "persistent": persistent}}
        if kind == "tensor_constant":  # as a buffer, so that it moves to the device with the rest
            path, argument = self._path(inner["tensor_constant_name"]), self._named(inner["arg"])
            self.constants.add(path)
            return {"buffer": {"arg": argument, "buffer_name": path, "persistent": False}}
        if kind == "constant_input":
            chosen = self._argument(inner["value"], 0)
            if next(iter(chosen)) not in ("as_none", "as_int", "as_float", "as_string", "as_bool"):
                raise self._refuse("one of its inputs is fixed to something that is no value")
            self.inputs.append({"as_constant": chosen, "name": self._name(inner["name"])})
            return {kind: {"name": self._name(inner["name"]), "value": chosen}}
        raise self._refuse(f"one of its inputs is {shortened(repr(kind), 40)}")

    def _output(self, value: Any) -> dict[str, Any]:
        kind, inner = self._union(value)
        if kind == "user_output":
            return {kind: {"arg": self._argument(inner["arg"], 0)}}
        if kind == "buffer_mutation":
            self.training = True
            path = self._path(inner["buffer_name"])
            return {kind: {"arg": self._named(inner["arg"]), "buffer_name": path}}
        if kind == "user_input_mutation":
            name = self._name(inner["user_input_name"])
            return {kind: {"arg": self._named(inner["arg"]), "user_input_name": name}}
        raise self._refuse(f"one of its outputs is {shortened(repr(kind), 40)}")

    def _call(self, value: Any) -> dict[str, Any]:
        entry = self._object(value)
        path, signature = self._path(entry["fqn"]), entry.get("signature")
        if path or signature is None:
            return {"fqn": path, "signature": None}
        names = signature.get("forward_arg_names")
        return {
            "fqn": "",
            "signature": {
                "inputs": [self._argument(each, 0) for each in self._list(signature["inputs"])],
                "outputs": [self._argument(each, 0) for each in self._list(signature["outputs"])],
                "in_spec": tree(signature["in_spec"], self._refuse),
                "out_spec": tree(signature["out_spec"], self._refuse),
                "forward_arg_names": names and [self._name(each) for each in self._list(names)],
            },
        }
