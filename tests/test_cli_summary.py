"""`striate summary`: networks and models as tables."""

from pathlib import Path

from command_line import last_json, run


def test_summary_shows_networks_and_models(model: Path) -> None:
    table = run("summary", "lenet5").stdout
    assert "61,706" in table
    assert "416,520" in table
    assert run("summary", model).stdout == table
    values = last_json(run("summary", model, "--json"))
    assert values["totals"]["parameters"] == 61_706
    assert values["totals"]["multiply_adds"] == 416_520
    conv = values["layers"][3]
    assert {
        "name",
        "kind",
        "output_shape",
        "parameters",
        "multiply_adds",
    } <= conv.keys()
    assert (conv["name"], conv["output_shape"]) == ("conv2", [10, 10, 16])
    assert (conv["receptive_field"], conv["jump"]) == ([14, 14], [2, 2])
