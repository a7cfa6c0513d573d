"""GLPNConfig refuses what cannot be built and keeps what it does not know."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glpn import GLPNConfig
from glpn.errors import ConfigError, MissingInput


def test_defaults_equal_the_reference_implementation() -> None:
    from transformers import GLPNConfig as Reference

    reference = Reference().to_dict()
    ours = GLPNConfig().to_dict()
    shared = set(ours) & set(reference)
    assert len(shared) >= 20
    assert {key: ours[key] for key in shared} == {key: reference[key] for key in shared}


def test_reference_config_file_loads_and_keeps_its_extra_keys(tmp_path: Path) -> None:
    from transformers import GLPNConfig as Reference

    extra: dict[str, Any] = {"my_note": "kept"}
    Reference(max_depth=80, depths=[3, 8, 27, 3], **extra).save_pretrained(tmp_path)
    config = GLPNConfig.from_json_file(tmp_path / "config.json")
    assert config.max_depth == 80
    assert config.depths == (3, 8, 27, 3)
    assert config.my_note == "kept"
    assert config.to_dict()["my_note"] == "kept"


def test_our_config_file_loads_in_the_reference_implementation(tmp_path: Path) -> None:
    from transformers import GLPNConfig as Reference

    config = GLPNConfig.preset("b2", max_depth=12.0, decoder_hidden_size=32)
    (tmp_path / "config.json").write_text(config.to_json())
    reference = Reference.from_pretrained(tmp_path)
    assert reference.depths == [3, 4, 6, 3]
    assert (reference.max_depth, reference.decoder_hidden_size) == (12, 32)


def test_json_round_trip(tmp_path: Path) -> None:
    config = GLPNConfig.preset("b3", max_depth=80.0, note={"a": [1, 2]})
    (tmp_path / "config.json").write_text(config.to_json())
    again = GLPNConfig.from_json_file(tmp_path / "config.json")
    assert again.replace(architectures=None) == config.replace(architectures=None)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"depths": (2, 2, 2)}, "depths: expected 4 values, got 3"),
        ({"depths": (2, 2, 2, 10**9)}, "depths"),
        ({"depths": (2, 2, 0, 2)}, "depths"),
        ({"depths": "2222"}, "depths: expected a list"),
        ({"hidden_sizes": (32, 64, 161, 256)}, "num_attention_heads: 5 heads do not divide"),
        ({"hidden_sizes": (32, 64, -160, 256)}, "hidden_sizes"),
        ({"hidden_sizes": (32, 64, 160.5, 256)}, "hidden_sizes: expected a whole number"),
        ({"patch_sizes": (8, 3, 3, 3)}, "patch_sizes: must be odd"),
        ({"strides": (2, 2, 2, 2)}, "strides"),
        ({"sr_ratios": (64, 63, 1, 1)}, "sr_ratios: (64, 63, 1, 1) need photos with sides of"),
        ({"num_labels": 2 * 10**9}, "num_labels: expected a whole number from 0 to 100000"),
        ({"num_labels": "3"}, "num_labels"),
        ({"num_labels": True}, "num_labels"),
        ({"id2label": [1]}, "id2label: expected a table from whole numbers to names, got [1]"),
        ({"id2label": {"a": "b"}}, "id2label"),
        ({"id2label": {"9" * 5000: "b"}}, "id2label"),
        ({"extra": 3}, "extra: expected a mapping, got 3"),
        ({"mlp_ratios": (4, 4, 4, 0.001)}, "mlp_ratios"),
        ({"max_depth": 0}, "max_depth"),
        ({"max_depth": -1.0}, "max_depth"),
        ({"max_depth": float("nan")}, "max_depth: expected a finite number"),
        ({"max_depth": "10"}, "max_depth: expected a finite number"),
        ({"max_depth": True}, "max_depth"),
        ({"drop_path_rate": 1.0}, "drop_path_rate"),
        ({"hidden_act": "wish"}, "hidden_act: expected one of"),
        ({"head_in_index": 4}, "head_in_index"),
        ({"decoder_hidden_size": 63}, "decoder_hidden_size: must be even"),
        ({"num_encoder_blocks": 5}, "num_encoder_blocks"),
        ({"layer_norm_convention": "mine"}, "layer_norm_convention"),
        ({"max_dept": 10}, "unknown key 'max_dept': did you mean 'max_depth'"),
        ({"hidden_size": 10}, "did you mean 'hidden_sizes'"),
        ({"model_type": "dpt"}, "model_type: expected 'glpn', got 'dpt'"),
    ],
)
def test_impossible_values_are_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        GLPNConfig(**fields)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"max_depth": 10, "max_depth": 80}', "duplicate key 'max_depth'"),
        ('{"max_depth": NaN}', "NaN"),
        ('{"max_depth": Infinity}', "Infinity"),
        ("[" * 100_000, "nested"),
        ('{"note": ' + "[" * 50 + "]" * 50 + "}", "nested"),
        ("{", "not valid JSON"),
        ("[1]", "expected a JSON object"),
        ("\x00", "not valid JSON"),
    ],
)
def test_hostile_json_is_refused(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=named):
        GLPNConfig.from_json_file(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"config\.json"):
        GLPNConfig.from_json_file(tmp_path / "config.json")


def test_binary_config_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        GLPNConfig.from_json_file(tmp_path / "config.json")


def test_stage_records_carry_what_the_lists_say() -> None:
    config = GLPNConfig(drop_path_rate=0.07)
    third = config.stages[2]
    assert (third.in_channels, third.width, third.depth) == (64, 160, 2)
    assert (third.heads, third.sr_ratio, third.stride, third.patch_size) == (5, 2, 2, 3)
    assert third.drop_paths == pytest.approx((0.04, 0.05))
    assert config.size_divisor == 32


def test_presets_are_named_back() -> None:
    assert GLPNConfig.preset("b5").variant == "b5"
    assert GLPNConfig().variant == "b0"
    assert GLPNConfig(depths=(1, 1, 1, 1)).variant == "custom"
    with pytest.raises(ConfigError, match="b6"):
        GLPNConfig.preset("b6")


@pytest.mark.parametrize(
    "wrong", [{"attn_implementation": "flash"}, {"depths": None}, {"id2label": 3}, {3: 4}]
)
def test_an_update_that_fails_changes_nothing(wrong: dict[Any, Any]) -> None:
    config = GLPNConfig(note="kept")
    before = config.to_dict()
    with pytest.raises(Exception):  # noqa: B017  # of any type
        config.update({"max_depth": 80, "note": "new", **wrong})
    assert config.to_dict() == before


def test_assignment_validates_and_leaves_the_field_alone_on_an_error() -> None:
    config = GLPNConfig()
    config.max_depth = 80
    with pytest.raises(ConfigError, match="max_depth"):
        config.max_depth = -1
    with pytest.raises(ConfigError, match="num_attention_heads: 5 heads do not divide"):
        config.hidden_sizes = (32, 64, 161, 256)
    with pytest.raises(ConfigError, match="did you mean 'max_depth'"):
        config.max_dept = 10
    assert (config.max_depth, config.hidden_sizes) == (80, (32, 64, 160, 256))
    assert GLPNConfig().max_depth == 10


def test_fields_that_depend_on_each_other_are_updated_together() -> None:
    config = GLPNConfig()
    config.update({"num_attention_heads": (1, 2, 7, 8), "hidden_sizes": (32, 64, 161, 256)})
    assert config.hidden_sizes == (32, 64, 161, 256)
    before = config.to_dict()
    with pytest.raises(ConfigError):
        config.update({"max_depth": 20, "depths": (2, 2)})
    assert config.to_dict() == before


def test_derived_records_stay_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        GLPNConfig().stages[0].width = 3  # type: ignore[misc]


def test_attributes_of_the_ecosystem_can_be_read_and_set() -> None:
    from transformers import GLPNConfig as Reference

    reference: Any = Reference()
    config: Any = GLPNConfig()
    for name in (
        *("architectures", "chunk_size_feed_forward", "dtype", "id2label", "is_encoder_decoder"),
        *("label2id", "model_type", "name_or_path", "num_labels", "output_attentions"),
        *("output_hidden_states", "problem_type", "return_dict", "use_return_dict"),
    ):
        assert getattr(config, name) == getattr(reference, name), name
    config.use_cache = False
    config.num_labels = 3
    config.dtype = "float16"
    assert config.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    assert (config.to_dict()["dtype"], str(config.dtype)) == ("float16", "torch.float16")
    with pytest.raises(ConfigError, match="dtype: expected one of"):
        config.dtype = "int8"


def test_folder_file_dictionary_and_overrides_give_the_same_config(tmp_path: Path) -> None:
    config = GLPNConfig.preset("b1", max_depth=20, note="kept")
    config.save_pretrained(tmp_path / "folder")
    config.to_json_file(tmp_path / "changed.json")
    assert json.loads((tmp_path / "changed.json").read_text()) == config.to_diff_dict()
    assert GLPNConfig.from_pretrained(tmp_path / "folder") == config
    assert GLPNConfig.from_pretrained(tmp_path, subfolder="folder") == config
    assert GLPNConfig.from_json_file(tmp_path / "changed.json") == config
    assert GLPNConfig.from_pretrained(tmp_path / "folder", max_depth=80).max_depth == 80
    assert GLPNConfig.from_dict(config.to_dict(), note="new").note == "new"
    with pytest.raises(ConfigError, match="did you mean 'max_depth'"):
        GLPNConfig.from_pretrained(tmp_path / "folder", max_dept=80)
    assert GLPNConfig.from_pretrained("glpn-b0-indoor/").variant == "b0"


def test_copies_and_pickles_are_equal_and_independent() -> None:
    config = GLPNConfig(note={"a": 1})
    again = pickle.loads(pickle.dumps(copy.deepcopy(config)))
    assert again == config
    again.max_depth = 80
    assert config.max_depth == 10


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
KEYS = st.sampled_from([f.name for f in dataclasses.fields(GLPNConfig) if f.name != "extra"])


@given(st.dictionaries(KEYS, JSON, max_size=3))
def test_any_json_value_gives_a_config_or_a_config_error(values: Any) -> None:
    try:
        config = GLPNConfig.from_dict(values)
    except ConfigError:
        return
    again = GLPNConfig.from_dict(json.loads(config.to_json()))
    assert again.to_dict()["depths"] == config.to_dict()["depths"]
