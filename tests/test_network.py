"""A network as its users see it: weights, answers, images it takes, files, errors."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import striate as st
from striate.saving.modelfile import load_model, save_model

PIXELS = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 1), dtype=np.uint8)


def small(seed=0, **options):
    layers = [st.Conv2D(3, 3), st.ReLU(), st.MaxPool2D(2), st.Flatten(), st.Dense(4)]
    return st.Network(layers, (8, 8, 1), seed=seed, **options)


def fitted(labels=None):
    network = small()
    labels = np.arange(7) % 4 if labels is None else labels
    network.fit(PIXELS, labels, epochs=1, batch_size=4)
    return network


def linear():
    """Two pixels, two classes: everything can be done by hand."""
    network = st.Network([st.Flatten(), st.Dense(2)], (1, 2, 1))
    network.set_weights(
        {"dense1.weight": [[1.0, -2.0], [0.5, 3.0]], "dense1.bias": [0.25, -1.0]}
    )
    return network


def test_weights_have_the_names_shapes_and_order_other_tools_expect():
    shapes = {name: array.shape for name, array in small().weights.items()}
    assert shapes == {
        "conv1.weight": (3, 1, 3, 3),
        "conv1.bias": (3,),
        "dense1.weight": (4, 27),
        "dense1.bias": (4,),
    }
    assert list(shapes) == [
        "conv1.weight",
        "conv1.bias",
        "dense1.weight",
        "dense1.bias",
    ]
    assert small().parameters == sum(np.prod(shape) for shape in shapes.values())


def test_weights_cannot_be_written_by_mistake():
    network = small()
    with pytest.raises(ValueError, match="read-only"):
        network.weights["conv1.bias"][0] = 1
    with pytest.raises(TypeError):
        network.weights["conv1.bias"] = np.zeros(3)


def test_starting_weights_are_uniform_within_one_over_root_fan_in():
    network = st.Network([st.Conv2D(64, 5), st.Flatten(), st.Dense(9)], (12, 12, 4))
    for name, fan_in in (("conv1", 100), ("dense1", 4096)):
        bound = fan_in**-0.5
        for part in ("weight", "bias"):
            values = network.weights[f"{name}.{part}"]
            assert np.abs(values).max() <= np.float32(bound)
        values = network.weights[f"{name}.weight"]
        assert np.abs(values).max() > 0.99 * bound
        assert abs(values.std() / bound - 3**-0.5) < 0.02
        assert abs(values.mean()) < 0.02 * bound


def test_seed_chooses_the_starting_weights():
    first, same, other = (small(seed).weights["conv1.weight"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)
    for seed, error in ((-1, ValueError), (2**63, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match="seed must be"):
            small(seed)


def test_set_weights_replaces_all_or_nothing():
    source, target = small(1), small(2)
    target.set_weights(source.weights)
    np.testing.assert_array_equal(target.logits(PIXELS), source.logits(PIXELS))

    good = {name: array.copy() for name, array in small(3).weights.items()}
    before = target.logits(PIXELS)
    faults = [
        ({"dense1.bias": None}, st.ShapeError, "dense1.bias missing"),
        ({"dense2.bias": np.zeros(4)}, st.ShapeError, "dense2.bias unknown"),
        ({"dense1.bias": np.zeros(5)}, st.ShapeError, "must be of shape 4 but is 5"),
        ({"conv1.bias": np.array(1.0)}, st.ShapeError, "is a single number"),
        ({"conv1.bias": np.zeros(3, complex)}, TypeError, "real numbers, not complex"),
        ({"conv1.bias": np.full(3, np.nan)}, ValueError, "conv1.bias must hold finite"),
        ({"conv1.bias": np.full(3, 1e300)}, ValueError, "too large for float32"),
    ]
    for change, error, text in faults:
        mapping = {**good, **change}
        mapping = {name: array for name, array in mapping.items() if array is not None}
        with pytest.raises(error, match=text):
            target.set_weights(mapping)
    with pytest.raises(TypeError, match="mapping of names to arrays"):
        target.set_weights(list(good.values()))
    np.testing.assert_array_equal(target.logits(PIXELS), before)


def test_answers_by_hand():
    x = np.array([[3.0, 1.0], [-1.0, 2.0]], np.float32).reshape(2, 1, 2, 1)
    network = linear()
    logits = np.array([[1.25, 3.5], [-4.75, 4.5]])
    np.testing.assert_allclose(network.logits(x), logits, rtol=1e-6)
    odds = np.exp(logits)
    expected = odds / odds.sum(1, keepdims=True)
    np.testing.assert_allclose(network.predict_proba(x), expected, rtol=1e-6)
    assert network.predict(x).tolist() == [1, 1]
    assert network.score(x, [1, 0]) == 0.5
    assert network.score(x, [1, 0], sample_weight=[3, 1]) == 0.75


def test_untrained_networks_divide_pixels_by_255_and_centre_smaller_images():
    network = small()
    floats = PIXELS.astype(np.float32) / np.float32(255)
    np.testing.assert_allclose(
        network.logits(PIXELS), network.logits(floats), atol=1e-6
    )
    padded = np.zeros_like(PIXELS)
    padded[:, 1:7, 2:6] = PIXELS[:, :6, :4]
    np.testing.assert_array_equal(
        network.logits(PIXELS[:, :6, :4]), network.logits(padded)
    )
    with pytest.raises(st.ShapeError, match="9x8 pixels do not fit"):
        network.logits(np.zeros((1, 9, 8, 1), np.uint8))


def test_fit_measures_preprocessing_and_applies_it_ever_after():
    network = fitted()
    known = network.preprocessing
    scaled = PIXELS / 255
    assert known.image_size == (8, 8)
    np.testing.assert_allclose(known.mean, scaled.mean(), rtol=1e-6)
    np.testing.assert_allclose(known.std, scaled.std(), rtol=1e-6)
    prepared = ((scaled - known.mean) / known.std).astype(np.float32)
    np.testing.assert_allclose(
        network.logits(prepared, preprocessed=True), network.logits(PIXELS), atol=1e-5
    )
    network.fit(255 - PIXELS, np.arange(7) % 4, epochs=1)
    assert network.preprocessing is known


def test_images_a_trained_network_cannot_understand_are_refused():
    network = fitted()
    floats = PIXELS.astype(np.float32)
    with pytest.raises(st.DataError, match="trained on uint8 pixels; give uint8"):
        network.predict(floats)
    with pytest.raises(st.DataError, match="trained on uint8 pixels"):
        network.fit(floats, np.arange(7) % 4)
    with pytest.raises(st.UsageError, match="leave out preprocessed=True"):
        network.predict(PIXELS, preprocessed=True)
    with pytest.raises(st.ShapeError, match="Nx8x8x1"):
        network.predict(PIXELS[:, :6])
    with pytest.raises(st.UsageError, match="invert=True turns uint8"):
        network.predict(floats, preprocessed=True, invert=True)
    with pytest.raises(st.DataError, match="finite"):
        network.predict(floats * np.nan, preprocessed=True)


def test_a_network_trained_on_floats_does_not_guess_what_pixels_mean():
    network = small()
    network.fit(PIXELS / 255.0, np.arange(7) % 4, epochs=1)
    assert network.preprocessing is None
    with pytest.raises(st.DataError, match="trained on float arrays"):
        network.predict(PIXELS)
    with pytest.raises(st.UsageError, match="does not know how files"):
        network.predict_files(["a.png"])
    assert network.predict(PIXELS / 255.0).shape == (7,)


def test_invert_of_arrays_is_true_or_false():
    network = fitted()
    for wrong in ("auto", None, 1):
        with pytest.raises(
            st.UsageError, match=r"True or False for arrays, not .*files"
        ):
            network.predict(PIXELS, invert=wrong)


def test_invert_turns_pixels():
    network = fitted()
    np.testing.assert_array_equal(
        network.predict_proba(PIXELS, invert=True), network.predict_proba(255 - PIXELS)
    )


def test_one_channel_may_be_left_out_and_no_layout_matters():
    network = fitted()
    expected = network.logits(PIXELS)
    wide = np.zeros((7, 8, 16, 1), np.uint8)
    wide[:, :, ::2] = PIXELS
    for images in (PIXELS[..., 0], wide[:, :, ::2], np.asfortranarray(PIXELS)):
        np.testing.assert_array_equal(network.logits(images), expected)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([0, 1, 2, 3, 0, 1, 2], (0, 1, 2, 3)),
        ([5, 10, 20, 40, 5, 10, 20], (5, 10, 20, 40)),
        (
            ["ant", "bee", "cat", "dog", "ant", "bee", "cat"],
            ("ant", "bee", "cat", "dog"),
        ),
    ],
)
def test_predict_answers_in_the_vocabulary_of_the_labels(tmp_path, labels, classes):
    network = fitted(labels)
    assert network.classes == classes
    assert set(network.predict(PIXELS).tolist()) <= set(classes)
    answers = network.predict(PIXELS)
    assert network.score(PIXELS, answers) == 1.0
    network.save(tmp_path / "model.safetensors")
    loaded = st.load(tmp_path / "model.safetensors")
    assert loaded.classes == classes
    assert loaded.predict(PIXELS).tolist() == answers.tolist()
    with pytest.raises(st.DataError, match="labels"):
        network.score(PIXELS, np.full(7, 99))


def test_classes_can_be_named():
    network = fitted()
    network.classes = ["zero", "one", "two", "three"]
    assert network.predict(PIXELS)[0] in network.classes
    with pytest.raises(st.DataError, match="must be 4 names"):
        network.classes = ["zero", "one"]
    with pytest.raises(st.DataError, match="different strings"):
        network.classes = ["a", "a", "b", "c"]


@pytest.mark.parametrize("names", [["a", "b", "c", "d"], [3, 1, 4, 5]])
def test_classes_may_be_an_array(names):
    network = fitted()
    network.classes = np.array(names)
    assert network.classes == tuple(names)
    assert {type(name) for name in network.classes} == {type(names[0])}
    assert network.with_classes(np.unique(names)).classes == tuple(sorted(names))


@pytest.mark.parametrize("names", [None, 4, "abcd"])
def test_classes_must_be_a_list(names):
    network = fitted()
    with pytest.raises(st.DataError, match=f"must be a list of names, not '?{names}"):
        network.classes = names
    with pytest.raises(st.DataError, match="must be a list of names"):
        network.with_classes(names)


def test_networks_that_do_not_end_in_classes_say_so():
    network = st.Network([st.Conv2D(3, 3)], (8, 8, 1))
    for use in (
        network.predict,
        network.predict_proba,
        lambda x: network.fit(x, np.zeros(7, int)),
        lambda x: network.score(x, np.zeros(7, int)),
    ):
        with pytest.raises(st.ShapeError, match="conv1 puts out 6x6x3; end it with"):
            use(PIXELS)
    with pytest.raises(st.UsageError, match="no weights to train"):
        st.Network([st.Flatten()], (8, 8, 1)).fit(PIXELS, np.arange(7))


def test_absurd_sizes_are_refused_in_words_before_memory_is_taken():
    with pytest.raises(st.UsageError, match=r"network of [\d,]+ parameters takes"):
        st.Network([st.Flatten(), st.Dense(2**20)], (1024, 1024, 1))
    many = np.broadcast_to(PIXELS[:1, :1, :1], (10**6, 1, 1, 1))
    wide = st.Network([st.Conv2D(2**20, 1)], (1, 1, 1))
    with pytest.raises(st.UsageError, match="give fewer images or layers"):
        wide.activations(many, 0)


def test_repr_is_the_constructor_call():
    network = small(seed=3)
    again = eval(repr(network), vars(st))
    assert again.layers == network.layers
    np.testing.assert_array_equal(again.logits(PIXELS), network.logits(PIXELS))


def test_summary_counts_what_the_network_has():
    network = small()
    assert network.summary().parameters == network.parameters
    assert "conv1" in str(network.summary())
    assert network._repr_html_().startswith("<table>")


@pytest.mark.parametrize(
    "how", [copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))]
)
def test_copies_are_whole_and_independent(how):
    network = fitted(["a", "b", "c", "d", "a", "b", "c"])
    other = how(network)
    assert other.classes == network.classes
    assert other.training == network.training
    expected = network.logits(PIXELS)
    np.testing.assert_array_equal(other.logits(PIXELS), expected)
    other.fit(PIXELS, ["a"] * 7, epochs=1)
    np.testing.assert_array_equal(network.logits(PIXELS), expected)


def nameless(metadata):
    """Leave the layers and the weights as the only things that can disagree."""
    metadata.update(classes=None, preprocessing=None)
    return metadata["architecture"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda m: nameless(m)["layers"].pop(), "dense1.weight unknown"),
        (
            lambda m: nameless(m).update(input_shape=[10, 8, 1]),
            "shape 4x36 but is 4x27",
        ),
        (lambda m: m["architecture"].update(input_shape=[2**29, 1, 1]), "at most"),
        (lambda m: m["architecture"]["layers"][0].update(kind="Evil"), "Evil"),
        (lambda m: nameless(m)["layers"][4].update(units=2**27), "be of shape"),
        (
            lambda m: m["architecture"].update(layers=[{"kind": "ReLU"}] * 10_001),
            "at most 10,000 layers, .* but gets more; leave",
        ),
        (lambda m: m["architecture"].update(seed=-1), "seed must be"),
        (lambda m: m.update(classes=["a", "b"]), "must be 4 names"),
        (lambda m: m.update(classes=["a", "a", "b", "c"]), "different strings"),
        (lambda m: m["preprocessing"].update(std=[0.0]), "std must be"),
        (lambda m: m["preprocessing"].update(input_shape=[9, 9, 1]), "its layers for"),
        (lambda m: m["preprocessing"].pop("mean"), "preprocessing must consist"),
    ],
)
def test_model_files_whose_parts_contradict_each_other_are_refused(
    tmp_path, change, text
):
    fitted().save(tmp_path / "good.safetensors")
    weights, metadata = load_model(tmp_path / "good.safetensors")
    change(metadata)
    save_model(tmp_path / "bad.safetensors", weights, metadata)
    with pytest.raises(st.ModelFileError, match=text) as caught:
        st.load(tmp_path / "bad.safetensors")
    assert "bad.safetensors" in str(caught.value)


@pytest.mark.parametrize("training", [{"earlier_epochs": "x", "epochs": None}, {}])
def test_a_model_whose_record_says_nothing_can_be_trained_on(tmp_path, training):
    fitted().save(tmp_path / "good.safetensors")
    weights, metadata = load_model(tmp_path / "good.safetensors")
    metadata["training"] = training
    save_model(tmp_path / "odd.safetensors", weights, metadata)
    network = st.load(tmp_path / "odd.safetensors")
    network.fit(PIXELS, np.arange(7) % 4, epochs=1)
    assert (network.training["earlier_epochs"], network.training["epochs"]) == (0, 1)


def test_files_must_be_a_list():
    with pytest.raises(TypeError, match=r"give \['a.png'\]"):
        fitted().predict_files("a.png")
    with pytest.raises(TypeError, match=r"must be paths, str or Path, not b'a\.png'"):
        fitted().predict_files([b"a.png"])


def test_threads_are_counted_sensibly():
    network = small()
    expected = network.logits(PIXELS, threads=1)
    np.testing.assert_array_equal(network.logits(PIXELS, threads=9), expected)
    with pytest.raises(ValueError, match="threads must be from 1"):
        network.logits(PIXELS, threads=0)


@some.composite
def networks(draw):
    """Small stacks of any layers that fit on an odd image."""
    volume = some.sampled_from(
        [
            st.Conv2D(3, 2),
            st.Conv2D(4, (1, 3), stride=(2, 1), padding="same"),
            st.Conv2D(6, 3, dilation=2, padding=(2, 1), groups=2, bias=False),
            st.MaxPool2D(2, stride=1, padding=1),
            st.AvgPool2D(3, stride=2, padding=1),
            st.ReLU(),
            st.LeakyReLU(0.2),
            st.ScaledTanh(),
            st.Sigmoid(),
            st.Dropout(0.3),
        ]
    )
    layers = [st.Conv2D(draw(some.integers(1, 3)) * 2, 1)]
    for layer in draw(some.lists(volume, max_size=4)):
        try:
            st.Network([*layers, layer], (9, 7, 3))
        except st.ShapeError:
            continue
        layers.append(layer)
    layers += [st.Flatten(), st.Dense(draw(some.integers(2, 18)))]
    return st.Network(layers, (9, 7, 3), seed=draw(some.integers(0, 9)))


@settings(max_examples=40, deadline=None)
@given(networks(), some.integers(1, 35), some.integers(2, 9))
def test_any_network_keeps_its_shapes_and_answers(network, count, threads):
    images = np.random.default_rng(count).integers(0, 256, (count, 9, 7, 3), np.uint8)
    every = network.activations(images, threads=1)
    for one in network.resolved:
        assert every[one.name].shape == (count, *one.output_shape)
    logits = network.logits(images, threads=threads)
    np.testing.assert_array_equal(logits, every[network.resolved[-1].name])
    few = network.logits(images[:8], threads=threads)
    np.testing.assert_allclose(few, logits[:8], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(network.logits(images[:1]), few[:1])
    other = pickle.loads(pickle.dumps(network))
    np.testing.assert_array_equal(other.logits(images), logits)
    labels = np.arange(count) % network.outputs
    one, two = (copy.deepcopy(network) for _ in range(2))
    for trained, team in ((one, 1), (two, threads)):
        trained.fit(images, labels, epochs=2, batch_size=13, threads=team)
    np.testing.assert_array_equal(one.logits(images), two.logits(images))


# --- fine-tuning -----------------------------------------------------------------------


def test_a_network_for_other_classes_keeps_features_and_preprocessing(digits_network):
    network, images = digits_network
    other = network.with_classes(["even", "odd"], seed=3)
    assert other.classes == ("even", "odd")
    assert other.preprocessing == network.preprocessing
    np.testing.assert_array_equal(other.features(images), network.features(images))
    np.testing.assert_array_equal(
        other.weights["dense3.weight"],
        st.lenet5(classes=2, seed=3).weights["dense3.weight"],
    )
    before = network.logits(images)
    labels = np.array(["even", "odd"])[np.arange(len(images)) % 2]
    other.fit(images, labels, epochs=1)
    np.testing.assert_array_equal(network.logits(images), before)


def test_a_network_for_other_classes_needs_a_dense_layer_at_its_end():
    network = st.Network([st.Flatten(), st.Dense(3), st.ReLU()], (4, 4, 1))
    with pytest.raises(st.UsageError, match=r"must be Dense but is ReLU\(\); make a"):
        network.with_classes([0, 1])
    network = st.Network([st.Flatten(), st.Dense(3)], (4, 4, 1))
    with pytest.raises(st.DataError, match="classes must be different"):
        network.with_classes(["a", "a"])


@pytest.fixture(scope="module")
def digits_network():
    train, test = st.load_data("digits")
    network = st.lenet5()
    network.fit(train.images[:200], train.labels[:200], epochs=1)
    return network, test.images[:20]


# --- answers for an image and its mirror image -----------------------------------------


def test_training_on_mirrored_images_averages_the_answers_of_both(tmp_path):
    train, test = st.load_data("digits")
    network = st.lenet5()
    flipping = st.Augmentation(flip="horizontal")
    network.fit(train.images[:200], train.labels[:200], epochs=1, augmentation=flipping)
    assert network.mirrored_answers
    pixels = test.images[:20]
    both = network.logits(pixels)
    np.testing.assert_allclose(network.logits(pixels[:, :, ::-1]), both, rtol=1e-6)
    network.temperature = 2.0
    exponentials = np.exp(both.astype(np.float64) / 2)
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(network.predict_proba(pixels), expected, rtol=1e-5)
    network.save(tmp_path / "m.safetensors")
    loaded = st.load(tmp_path / "m.safetensors")
    assert loaded.mirrored_answers
    np.testing.assert_array_equal(loaded.logits(pixels), both)
    loaded.mirrored_answers = False
    alone = loaded.logits(pixels)
    mirrored = loaded.logits(np.ascontiguousarray(pixels[:, :, ::-1]))
    np.testing.assert_array_equal((alone + mirrored) / 2, both)


def test_answers_are_of_the_image_alone_unless_training_mirrored_it():
    train, _ = st.load_data("digits")
    network = st.lenet5()
    network.mirrored_answers = True
    network.fit(train.images[:100], train.labels[:100], epochs=1, augmentation="light")
    assert not network.mirrored_answers
    with pytest.raises(TypeError, match="mirrored_answers must be True or False"):
        network.mirrored_answers = "yes"
