// The only file that knows both worlds. Every array is checked here against the plan
// before its address goes anywhere; the GIL is free while the core computes, and what
// is returned owns its memory. Messages here mean a fault in Striate's own Python code:
// users' mistakes are answered there, in their words.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>
#include <unistd.h>

#include <map>
#include <stdexcept>

#include "check.h"
#include "dispatch.h"
#include "random.h"
#include "run.h"
#include "threads.h"
#include "train.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace striate {
namespace {

template <class T, size_t N>
using Array = nb::ndarray<T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;
template <class T>
using Result = nb::ndarray<nb::numpy, T>;

void demand(bool holds, const std::string& rule) {
    if (!holds) throw std::invalid_argument(rule);
}

template <class T>
Result<T> new_array(const std::vector<size_t>& shape) {
    int64_t count = 1;
    for (size_t side : shape) count *= int64_t(side);
    T* data = allocate<T>(count).release();
    nb::capsule owner(data, [](void* p) noexcept { AlignedDelete()(p); });
    return Result<T>(data, shape.size(), shape.data(), owner);
}

template <class T>
Result<T> to_array(const std::vector<T>& values) {
    Result<T> array = new_array<T>({values.size()});
    std::copy(values.begin(), values.end(), array.data());
    return array;
}

std::vector<size_t> image_shape(int64_t count, const Shape& s) {
    if (s.H == 1 && s.W == 1) return {size_t(count), 1, 1, size_t(s.C)};
    return {size_t(count), size_t(s.H), size_t(s.W), size_t(s.C)};
}

// The GIL, given back while the core computes. Once Python ends, CPython before 3.14
// unwinds the stack of a thread that asks for it, which neither destructors nor the
// rest of its team survive; such a thread sleeps here instead, as it does since 3.14.
class WithoutGil {
  public:
    WithoutGil() : state_(PyEval_SaveThread()) {}
    ~WithoutGil() { take(); }
    WithoutGil(const WithoutGil&) = delete;
    WithoutGil& operator=(const WithoutGil&) = delete;

    // Whether a signal came that Python answers by an exception (Ctrl-C).
    bool interrupted() {
        take();
        const bool raised = PyErr_CheckSignals() != 0;
        state_ = PyEval_SaveThread();
        return raised;
    }

  private:
    void take() {
        try {
            PyEval_RestoreThread(state_);
        } catch (...) {  // nothing but the end of the thread
            for (;;) pause();
        }
    }

    PyThreadState* state_;
};

// Runs `body` without the GIL; a signal that Python has an answer to (Ctrl-C) ends it.
template <class Body>
auto without_gil(Body body) {
    WithoutGil free;
    return body(Interrupted([&free] { return free.interrupted(); }));
}

// uint8 images (N, height, width, C) and how they become the network's input.
struct Pixels {
    Array<const uint8_t, 4> images;
    Array<const float, 2> table;
    Array<const float, 1> fill;
    PixelShape shape;

    Pixels(Array<const uint8_t, 4> images_, Array<const float, 2> table_,
           Array<const float, 1> fill_, std::array<int64_t, 2> input,
           std::array<int64_t, 2> offset)
        : images(images_), table(table_), fill(fill_) {
        shape = {int64_t(images.shape(1)),
                 int64_t(images.shape(2)),
                 int64_t(images.shape(3)),
                 input[0],
                 input[1],
                 offset[0],
                 offset[1]};
        demand(table.shape(0) == images.shape(3) && table.shape(1) == 256,
               "table must be (C, 256)");
        demand(fill.shape(0) == images.shape(3), "fill must be (C,)");
        demand(shape.top >= 0 && shape.left >= 0 &&
                   shape.top + shape.height <= shape.H &&
                   shape.left + shape.width <= shape.W,
               "the images must lie inside the input");
    }
};

template <class T>
Source<T> source_of(const Pixels& p) {
    Source<T> source;
    source.count = int64_t(p.images.shape(0));
    source.pixels = p.images.data();
    source.shape = p.shape;
    source.table = p.table.data();
    source.fill = p.fill.data();
    return source;
}

template <class T>
Source<T> source_of(nb::handle object, const Shape& in) {
    Source<T> source;
    if (nb::isinstance<Pixels>(object)) {
        const Pixels& p = nb::cast<const Pixels&>(object);
        demand(p.shape.C == in.C && p.shape.H == in.H && p.shape.W == in.W,
               "pixels do not fit the plan's input");
        source = source_of<T>(p);
    } else {
        const auto values = nb::cast<Array<const T, 4>>(object, false);
        demand(int64_t(values.shape(1)) == in.H && int64_t(values.shape(2)) == in.W &&
                   int64_t(values.shape(3)) == in.C,
               "values do not fit the plan's input");
        source.count = int64_t(values.shape(0));
        source.values = values.data();
    }
    demand(source.count > 0, "there must be an image");
    return source;
}

Step make_step(const std::string& kind, int layer, std::array<int, 2> sources,
               std::array<int64_t, 3> in, std::array<int64_t, 3> out,
               std::array<int64_t, 2> kernel, std::array<int64_t, 2> stride,
               std::array<int64_t, 2> dilation, std::array<int64_t, 4> padding,
               int64_t groups, int64_t weight, int64_t bias, int64_t running,
               double value, double scale) {
    static const std::map<std::string, Kind> kinds = {
        {"pad", Kind::pad},
        {"conv", Kind::conv},
        {"max_pool", Kind::max_pool},
        {"average_pool", Kind::average_pool},
        {"dense", Kind::dense},
        {"batch_norm", Kind::batch_norm},
        {"add", Kind::add},
        {"relu", Kind::activation},
        {"leaky_relu", Kind::activation},
        {"tanh", Kind::activation},
        {"sigmoid", Kind::activation},
        {"dropout", Kind::dropout},
        {"flatten", Kind::flatten}};
    demand(kinds.count(kind) > 0, "unknown step kind " + kind);
    Step s;
    s.kind = kinds.at(kind);
    s.layer = layer;
    s.source = sources[0];
    s.other = sources[1];
    s.in = {in[0], in[1], in[2]};
    s.out = {out[0], out[1], out[2]};
    for (int axis = 0; axis < 2; ++axis) {
        s.kernel[axis] = kernel[size_t(axis)];
        s.stride[axis] = stride[size_t(axis)];
        s.dilation[axis] = dilation[size_t(axis)];
    }
    s.groups = groups;
    s.top = padding[0];
    s.left = padding[2];
    s.value = value;
    s.weight = weight;
    s.bias = bias;
    s.running = running;
    if (kind == "batch_norm") s.epsilon = scale;
    if (kind == "leaky_relu") s.rule = {Activation::leaky_relu, value, 1.0, 1.0};
    if (kind == "tanh") s.rule = {Activation::tanh, 0.0, value, scale};
    if (kind == "sigmoid") s.rule = {Activation::sigmoid, 0.0, 1.0, 1.0};
    return s;
}

// Checks labels against the plan's classes and the images, weights against the plan.
template <class T>
void check_labels(const Plan<T>& plan, int64_t count,
                  const Array<const int32_t, 1>& labels,
                  const std::optional<Array<const float, 1>>& sample_weight) {
    const Shape out = plan.steps().back().out;
    demand(out.H == 1 && out.W == 1, "the network must end in one value a class");
    demand(int64_t(labels.shape(0)) == count, "labels must be one an image");
    for (int64_t i = 0; i < count; ++i)
        demand(labels.data()[i] >= 0 && labels.data()[i] < out.C, "label out of range");
    demand(!sample_weight || int64_t(sample_weight->shape(0)) == count,
           "sample_weight must be one an image");
}

template <class T>
void check_weights(const Plan<T>& plan, size_t count) {
    demand(int64_t(count) == plan.weight_count(), "weights do not fit the plan");
}

template <class T>
size_t step_of(const Plan<T>& plan, int layer) {
    const int step = plan.step_of(layer);
    demand(step >= 0, "no such layer: " + std::to_string(layer));
    return size_t(step);
}

template <class T>
std::vector<Result<T>> plan_forward(const Plan<T>& plan, Array<const T, 1> weights,
                                    nb::object images, const std::vector<int>& layers,
                                    bool probabilities, int threads,
                                    double temperature) {
    check_weights(plan, weights.shape(0));
    const Source<T> source = source_of<T>(images, plan.steps()[0].in);
    std::vector<Wanted<T>> wanted;
    std::vector<Result<T>> results;
    for (int layer : layers) {
        const size_t step = step_of(plan, layer);
        const Shape out = plan.steps()[step].out;
        const bool last = step + 1 == plan.steps().size();
        results.push_back(new_array<T>(image_shape(source.count, out)));
        wanted.push_back(
            {step, results.back().data(), probabilities && last, temperature});
    }
    demand(!wanted.empty(), "at least one layer must be wanted");
    const bool done = without_gil([&](const Interrupted& interrupted) {
        return run_forward(plan, weights.data(), source, wanted, threads, interrupted);
    });
    if (!done) throw nb::python_error();
    return results;
}

template <class T>
Result<T> plan_input_gradient(const Plan<T>& plan, Array<const T, 1> weights,
                              nb::object images, int layer,
                              std::optional<Array<const T, 4>> seeds,
                              std::optional<Array<const int32_t, 1>> labels,
                              double label_smoothing, int threads) {
    check_weights(plan, weights.shape(0));
    const Shape in = plan.steps()[0].in;
    const Source<T> source = source_of<T>(images, in);
    InputGradient<T> what;
    what.step = step_of(plan, layer);
    what.label_smoothing = label_smoothing;
    demand(seeds.has_value() != labels.has_value(), "give seeds or labels");
    if (labels) {
        demand(what.step + 1 == plan.steps().size(), "labels belong to the last layer");
        check_labels(plan, source.count, *labels, {});
        what.labels = labels->data();
    } else {
        const std::vector<size_t> shape =
            image_shape(source.count, plan.steps()[what.step].out);
        for (size_t i = 0; i < 4; ++i)
            demand(seeds->shape(i) == shape[i], "seeds do not fit the layer");
        what.seeds = seeds->data();
    }
    Result<T> result = new_array<T>(image_shape(source.count, in));
    what.out = result.data();
    const bool done = without_gil([&](const Interrupted& interrupted) {
        return run_input_gradient(plan, weights.data(), source, what, threads,
                                  interrupted);
    });
    if (!done) throw nb::python_error();
    return result;
}

const char* ending_name(Ending ending) {
    switch (ending) {
        case Ending::loss_not_finite:
            return "loss";
        case Ending::gradient_not_finite:
            return "gradient";
        default:
            return "";
    }
}

template <class T>
std::tuple<double, int64_t, Result<T>, const char*> plan_gradients(
    const Plan<T>& plan, Array<const T, 1> weights, nb::object images,
    Array<const int32_t, 1> labels, std::optional<Array<const float, 1>> sample_weight,
    double label_smoothing, bool training, uint64_t seed, uint64_t epoch, int threads) {
    check_weights(plan, weights.shape(0));
    const Source<T> source = source_of<T>(images, plan.steps()[0].in);
    check_labels(plan, source.count, labels, sample_weight);
    Result<T> gradient = new_array<T>({size_t(plan.trainable_count())});
    std::vector<int64_t> order(size_t(source.count));
    for (size_t i = 0; i < order.size(); ++i) order[i] = int64_t(i);
    Training<T> t{};
    t.labels = labels.data();
    t.sample_weights = sample_weight ? sample_weight->data() : nullptr;
    t.order = order.data();
    t.images = t.batch = source.count;
    t.steps = 1;
    t.label_smoothing = label_smoothing;
    t.dropout = {training, seed, epoch};
    const TrainingResult result = without_gil([&](const Interrupted& interrupted) {
        // Without learning rates the weights are only read.
        Arenas<T> arenas;
        return run_training(plan, const_cast<T*>(weights.data()), gradient.data(),
                            source, t, arenas, threads, interrupted);
    });
    if (result.ending == Ending::interrupted) throw nb::python_error();
    return {result.loss[0], result.correct[0], gradient, ending_name(result.ending)};
}

// What an optimiser remembers between steps, and the memory that steps work in.
struct State {
    const Plan<float>& plan;
    AlignedArray<float> gradient, moment[2];
    Arenas<float> arenas;
    int64_t updates = 0;

    State(const Plan<float>& plan_, int moments)
        : plan(plan_), gradient(allocate<float>(plan.trainable_count())) {
        demand(moments >= 0 && moments <= 2, "moments must be 0, 1 or 2");
        for (int i = 0; i < moments; ++i) {
            moment[i] = allocate<float>(plan.trainable_count());
            std::fill_n(moment[i].get(), plan.trainable_count(), 0.0f);
        }
    }
};

void check_augmentation(const Augmentation& a, const Source<float>& source) {
    demand(source.pixels != nullptr, "only pixels are augmented");
    demand(!a.tints() || source.shape.C == 3, "hue and saturation need 3 channels");
}

// What training sees of the images named, as float32 (n, H, W, C).
Result<float> augmented(const Pixels& pixels, const Augmentation& augmentation,
                        uint64_t seed, uint64_t epoch,
                        Array<const int64_t, 1> indices) {
    const PixelShape& s = pixels.shape;
    const Source<float> source = source_of<float>(pixels);
    check_augmentation(augmentation, source);
    for (size_t i = 0; i < indices.shape(0); ++i)
        demand(indices.data()[i] >= 0 && indices.data()[i] < source.count,
               "indices name an image that is not there");
    Result<float> result =
        new_array<float>({indices.shape(0), size_t(s.H), size_t(s.W), size_t(s.C)});
    make_augmented(augmentation, seed, epoch, source, kernels_named(""), indices.data(),
                   int64_t(indices.shape(0)), result.data());
    return result;
}

UpdateRule make_rule(const std::string& optimizer, double momentum, bool nesterov,
                     double weight_decay, double beta1, double beta2, double epsilon) {
    UpdateRule rule{};
    demand(optimizer == "sgd" || optimizer == "adam" || optimizer == "adamw",
           "unknown optimizer " + optimizer);
    rule.kind = optimizer == "sgd"    ? Optimizer::sgd
                : optimizer == "adam" ? Optimizer::adam
                                      : Optimizer::adamw;
    rule.momentum = momentum;
    rule.nesterov = nesterov;
    rule.weight_decay = weight_decay;
    rule.beta1 = beta1;
    rule.beta2 = beta2;
    rule.epsilon = epsilon;
    return rule;
}

std::tuple<Result<double>, Result<int64_t>, const char*> plan_train(
    const Plan<float>& plan, Array<float, 1> weights, State& state,
    const UpdateRule& rule, nb::object images, Array<const int32_t, 1> labels,
    std::optional<Array<const float, 1>> sample_weight, Array<const int64_t, 1> order,
    int64_t batch_size, int64_t first_step, Array<const double, 1> learning_rates,
    double label_smoothing, double clip_norm, uint64_t seed, uint64_t epoch,
    const Augmentation* augmentation, int threads,
    std::optional<Array<float, 1>> average, double average_decay) {
    check_weights(plan, weights.shape(0));
    if (average) check_weights(plan, average->shape(0));
    const Source<float> source = source_of<float>(images, plan.steps()[0].in);
    check_labels(plan, source.count, labels, sample_weight);
    for (size_t i = 0; i < order.shape(0); ++i)
        demand(order.data()[i] >= 0 && order.data()[i] < source.count,
               "order names an image that is not there");
    Training<float> t{};
    t.labels = labels.data();
    t.sample_weights = sample_weight ? sample_weight->data() : nullptr;
    t.order = order.data();
    t.images = int64_t(order.shape(0));
    t.batch = batch_size;
    t.first_step = first_step;
    t.steps = int64_t(learning_rates.shape(0));
    demand(batch_size > 0 && first_step >= 0 && t.steps > 0 &&
               (first_step + t.steps - 1) < (t.images + batch_size - 1) / batch_size,
           "steps beyond the images");
    demand(&state.plan == &plan, "state is another plan's");
    t.label_smoothing = label_smoothing;
    t.clip_norm = clip_norm;
    t.dropout = {true, seed, epoch};
    t.augmentation = augmentation;
    if (augmentation) check_augmentation(*augmentation, source);
    t.average = average ? average->data() : nullptr;
    t.average_decay = average_decay;
    t.rule = rule;
    t.learning_rates = learning_rates.data();
    t.updates_before = state.updates;
    t.state0 = state.moment[0].get();
    t.state1 = state.moment[1].get();
    demand(rule.kind == Optimizer::sgd || (t.state0 && t.state1),
           "Adam needs two moments");
    const TrainingResult result = without_gil([&](const Interrupted& interrupted) {
        return run_training(plan, weights.data(), state.gradient.get(), source, t,
                            state.arenas, threads, interrupted);
    });
    if (result.ending == Ending::interrupted) throw nb::python_error();
    const bool whole = result.ending == Ending::done;
    state.updates += int64_t(result.loss.size()) - !whole;
    return {to_array(result.loss), to_array(result.correct),
            ending_name(result.ending)};
}

template <class T>
nb::class_<Plan<T>> bind_plan(nb::module_& m, const char* name, const char* text) {
    return nb::class_<Plan<T>>(m, name, text)
        .def_prop_ro("trainable_count", &Plan<T>::trainable_count)
        .def(
            "bytes",
            [](const Plan<T>& plan, int64_t images, int threads, bool training) {
                return training ? training_bytes(plan, images, threads)
                                : inference_bytes(plan, images, threads);
            },
            "images"_a, "threads"_a, "training"_a,
            "Bytes that a call takes besides its arrays; training: of a batch.")
        .def("forward", &plan_forward<T>, "weights"_a, "images"_a, "layers"_a,
             "probabilities"_a, "threads"_a, "temperature"_a = 1.0,
             "Outputs (N, H, W, C) of the layers, flat ones (N, 1, 1, D); with "
             "probabilities, the last layer's divided by temperature and through "
             "softmax.")
        .def("input_gradient", &plan_input_gradient<T>, "weights"_a, "images"_a,
             "layer"_a, "seeds"_a.none(), "labels"_a.none(), "label_smoothing"_a,
             "threads"_a, "Gradient of the input, (N, H, W, C).")
        .def("gradients", &plan_gradients<T>, "weights"_a, "images"_a, "labels"_a,
             "sample_weight"_a.none(), "label_smoothing"_a, "training"_a, "seed"_a,
             "epoch"_a, "threads"_a,
             "Mean loss, number correct, flat gradient, and what was not finite.");
}

NB_MODULE(_core, m) {
    m.doc() = "Striate's engine: a network as resolved steps. Not a public interface.";
    m.attr("version") = STRIATE_VERSION;
    // A network in a global variable outlives the module when Python ends; that is no
    // fault to tell users about.
    nb::set_leak_warnings(false);

    nb::class_<Step>(m, "Step").def(
        "__init__",
        [](Step* self, const std::string& kind, int layer, std::array<int, 2> sources,
           std::array<int64_t, 3> in, std::array<int64_t, 3> out,
           std::array<int64_t, 2> kernel, std::array<int64_t, 2> stride,
           std::array<int64_t, 2> dilation, std::array<int64_t, 4> padding,
           int64_t groups, int64_t weight, int64_t bias, int64_t running, double value,
           double scale) {
            new (self)
                Step(make_step(kind, layer, sources, in, out, kernel, stride, dilation,
                               padding, groups, weight, bias, running, value, scale));
        },
        "kind"_a, "layer"_a, "sources"_a, "input"_a, "output"_a, nb::kw_only(),
        "kernel"_a = std::array<int64_t, 2>{1, 1},
        "stride"_a = std::array<int64_t, 2>{1, 1},
        "dilation"_a = std::array<int64_t, 2>{1, 1},
        "padding"_a = std::array<int64_t, 4>{0, 0, 0, 0}, "groups"_a = 1,
        "weight"_a = -1, "bias"_a = -1, "running"_a = -1, "value"_a = 0.0,
        "scale"_a = 1.0,
        "One resolved step; shapes are (C, H, W), padding is (top, bottom, left, "
        "right). sources: the steps it reads, -1 for the input; the second of an add "
        "only. value: a pad's fill, leaky_relu's slope, tanh's height, dropout's rate, "
        "batch_norm's momentum; scale: tanh's steepness, batch_norm's epsilon.");
    nb::class_<Pixels>(m, "Pixels")
        .def(nb::init<Array<const uint8_t, 4>, Array<const float, 2>,
                      Array<const float, 1>, std::array<int64_t, 2>,
                      std::array<int64_t, 2>>(),
             "images"_a, "table"_a, "fill"_a, "input"_a, "offset"_a,
             "uint8 images (N, height, width, C) that become table[c, pixel], placed "
             "at offset "
             "(top, left) of an input (H, W) with fill[c] around.");
    nb::class_<UpdateRule>(m, "UpdateRule")
        .def(
            "__init__",
            [](UpdateRule* self, const std::string& optimizer, double momentum,
               bool nesterov, double weight_decay, double beta1, double beta2,
               double epsilon) {
                new (self) UpdateRule(make_rule(optimizer, momentum, nesterov,
                                                weight_decay, beta1, beta2, epsilon));
            },
            "optimizer"_a, nb::kw_only(), "momentum"_a = 0.0, "nesterov"_a = false,
            "weight_decay"_a = 0.0, "beta1"_a = 0.9, "beta2"_a = 0.999,
            "epsilon"_a = 1e-8);
    nb::class_<Augmentation>(m, "Augmentation")
        .def(
            "__init__",
            [](Augmentation* self, double shift, double rotation, double scale,
               double shear, double crop, double elastic, double elastic_sigma,
               bool flip_horizontal, bool flip_vertical, bool replicate,
               double brightness, double contrast, double saturation, double hue,
               double noise, double cutout, double mixup) {
                new (self) Augmentation{
                    shift,         rotation,  scale,         shear,
                    crop,          elastic,   elastic_sigma, flip_horizontal,
                    flip_vertical, replicate, brightness,    contrast,
                    saturation,    hue,       noise,         cutout,
                    mixup};
            },
            nb::kw_only(), "shift"_a, "rotation"_a, "scale"_a, "shear"_a, "crop"_a,
            "elastic"_a, "elastic_sigma"_a, "flip_horizontal"_a, "flip_vertical"_a,
            "replicate"_a, "brightness"_a, "contrast"_a, "saturation"_a, "hue"_a,
            "noise"_a, "cutout"_a, "mixup"_a,
            "How far training images are changed: lengths in shares of their sides, "
            "angles in radians, values in shares of the range.");
    auto state = nb::class_<State>(
        m, "State", "What an optimiser remembers: 0 to 2 moments of each weight.");

    bind_plan<float>(m, "Plan",
                     "A network in float32 on one instruction set's kernels.")
        .def(
            "__init__",
            [](Plan<float>* self, std::vector<Step> steps, int64_t weight_count,
               const std::string& isa) {
                new (self)
                    Plan<float>(std::move(steps), weight_count, kernels_named(isa));
            },
            "steps"_a, "weight_count"_a, "isa"_a = "")
        .def_prop_ro("isa", [](const Plan<float>& plan) { return plan.kernels().name; })
        .def(
            "train", &plan_train, "weights"_a, "state"_a, "rule"_a, "images"_a,
            "labels"_a, "sample_weight"_a.none(), "order"_a, nb::kw_only(),
            "batch_size"_a, "first_step"_a, "learning_rates"_a, "label_smoothing"_a,
            "clip_norm"_a, "seed"_a, "epoch"_a, "augmentation"_a.none() = nb::none(),
            "threads"_a, "average"_a.none() = nb::none(), "average_decay"_a = 0.0,
            "Train len(learning_rates) steps in place; returns the loss and the number "
            "correct of each, and what was not finite ('', 'loss' or 'gradient': the "
            "last step then changed nothing). After each step average, laid out as the "
            "weights are, += (1 - average_decay) * (weights - average).");
    state
        .def(nb::init<const Plan<float>&, int>(), "plan"_a, "moments"_a,
             nb::keep_alive<1, 2>())
        .def_ro("updates", &State::updates);
    bind_plan<double>(m, "DoublePlan",
                      "The same network in float64 on the reference kernels.")
        .def(
            "__init__",
            [](Plan<double>* self, std::vector<Step> steps, int64_t weight_count) {
                new (self) Plan<double>(std::move(steps), weight_count,
                                        reference_kernels<double>());
            },
            "steps"_a, "weight_count"_a)
        .def_prop_ro("isa",
                     [](const Plan<double>& plan) { return plan.kernels().name; });

    m.def("augmented", &augmented, "pixels"_a, "augmentation"_a, "seed"_a, "epoch"_a,
          "indices"_a, "What training sees of the images: float32 (n, H, W, C).");
    m.def("isas", &available_tables,
          "Instruction sets this processor runs, fastest first, 'reference' last.");
    m.def(
        "default_isa", [] { return kernels_named("").name; },
        "The instruction set in use; STRIATE_ISA forces one.");
    m.def("hardware_threads", &usable_processors,
          "Processors this process may use: affinity and cgroup limits counted.");
    m.def(
        "random_bits",
        [](uint64_t seed, uint64_t stream, uint64_t start, int64_t count) {
            demand(count >= 0, "count must not be negative");
            Result<uint64_t> bits = new_array<uint64_t>({size_t(count)});
            for (int64_t i = 0; i < count; ++i)
                bits.data()[i] = random_bits(seed, stream, start + uint64_t(i));
            return bits;
        },
        "seed"_a, "stream"_a, "start"_a, "count"_a,
        "uint64 numbers `start` ... of a stream (Philox 4x32-10).");
    m.def(
        "random_uniform",
        [](uint64_t seed, uint64_t stream, uint64_t start, int64_t count) {
            demand(count >= 0, "count must not be negative");
            Result<double> values = new_array<double>({size_t(count)});
            for (int64_t i = 0; i < count; ++i)
                values.data()[i] =
                    double(random_bits(seed, stream, start + uint64_t(i)) >> 11) *
                    0x1p-53;
            return values;
        },
        "seed"_a, "stream"_a, "start"_a, "count"_a, "The same as numbers in [0, 1).");
    m.def(
        "selftest",
        [](const std::string& isa, uint64_t seed, int cases) {
            const WithoutGil free;
            return check_kernels(kernels_named(isa), seed, cases);
        },
        "isa"_a, "seed"_a, "cases"_a,
        "Compare every kernel with its reference twin; returns what fails, in words.");
}

}  // namespace
}  // namespace striate
