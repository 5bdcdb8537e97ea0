// Plans as Python sees them: prediction, gradients and training.
#include "bind.h"
#include "dispatch.h"
#include "run.h"
#include "single.h"
#include "train.h"

namespace striate {
namespace {

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
void go_forward(const Plan<T>& plan, const Array<const T, 1>& weights,
                const Source<T>& source, const std::vector<Wanted<T>>& wanted,
                int threads) {
    const bool done = without_gil([&](const Interrupted& interrupted) {
        return run_forward(plan, weights.data(), source, wanted, threads, interrupted);
    });
    if (!done) throw nb::python_error();
}

template <class T>
std::vector<Result<T>> plan_forward(const Plan<T>& plan, Array<const T, 1> weights,
                                    nb::object images, const std::vector<int>& layers,
                                    int threads) {
    check_weights(plan, weights.shape(0));
    const Source<T> source = source_of<T>(images, plan.steps()[0].in);
    std::vector<Wanted<T>> wanted;
    std::vector<Result<T>> results;
    for (int layer : layers) {
        const size_t step = step_of(plan, layer);
        const Shape out = plan.steps()[step].out;
        results.push_back(new_array<T>(image_shape(source.count, out)));
        wanted.push_back({step, results.back().data()});
    }
    demand(!wanted.empty(), "at least one layer must be wanted");
    go_forward(plan, weights, source, wanted, threads);
    return results;
}

template <class T>
Result<T> plan_answers(const Plan<T>& plan, Array<const T, 1> weights,
                       nb::object images, bool probabilities, int threads,
                       double temperature) {
    check_weights(plan, weights.shape(0));
    const Source<T> source = source_of<T>(images, plan.steps()[0].in);
    const size_t last = plan.steps().size() - 1;
    const Shape out = plan.steps()[last].out;
    demand(out.H == 1 && out.W == 1, "the network must end in one value a class");
    Result<T> result = new_array<T>({size_t(source.count), size_t(out.C)});
    go_forward(plan, weights, source,
               {{last, result.data(), probabilities, temperature}}, threads);
    return result;
}

GradientRule rule_named(const std::string& name) {
    demand(name == "gradient" || name == "deconvolution" || name == "guided",
           "unknown rule " + name);
    return name == "gradient"        ? GradientRule::gradient
           : name == "deconvolution" ? GradientRule::deconvolution
                                     : GradientRule::guided;
}

template <class T>
Result<T> plan_input_gradient(const Plan<T>& plan, Array<const T, 1> weights,
                              nb::object images, int layer,
                              std::optional<Array<const T, 4>> seeds,
                              std::optional<Array<const int32_t, 1>> labels,
                              double label_smoothing, int threads, int at,
                              const std::string& rule) {
    check_weights(plan, weights.shape(0));
    const Shape in = plan.steps()[0].in;
    const Source<T> source = source_of<T>(images, in);
    InputGradient<T> what;
    what.step = step_of(plan, layer);
    if (at >= 0) what.at = int(step_of(plan, at));
    what.rule = rule_named(rule);
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
    const Shape end = at < 0 ? in : plan.steps()[size_t(what.at)].out;
    Result<T> result = new_array<T>(image_shape(source.count, end));
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
        .def("tasks", &forward_tasks<T>, "images"_a,
             "How many threads can share a call of forward or answers.")
        .def("forward", &plan_forward<T>, "weights"_a, "images"_a, "layers"_a,
             "threads"_a, "Outputs (N, H, W, C) of the layers, flat ones (N, 1, 1, D).")
        .def("answers", &plan_answers<T>, "weights"_a, "images"_a, "probabilities"_a,
             "threads"_a, "temperature"_a = 1.0,
             "The last layer's output (N, K), or, as probabilities, that divided by "
             "temperature and through softmax.")
        .def("input_gradient", &plan_input_gradient<T>, "weights"_a, "images"_a,
             "layer"_a, "seeds"_a.none(), "labels"_a.none(), "label_smoothing"_a,
             "threads"_a, "at"_a = -1, "rule"_a = "gradient",
             "Gradient of the output of the layer `at`, or, where that is -1, of the "
             "input, (N, H, W, C), flat ones (N, 1, 1, D). rule: what rectifiers pass "
             "back, also \"deconvolution\" or \"guided\".")
        .def("gradients", &plan_gradients<T>, "weights"_a, "images"_a, "labels"_a,
             "sample_weight"_a.none(), "label_smoothing"_a, "training"_a, "seed"_a,
             "epoch"_a, "threads"_a,
             "Mean loss, number correct, flat gradient, and what was not finite.");
}

}  // namespace

void bind_plans(nb::module_& m) {
    m.attr("few_images") = kFewImages;
    auto state = nb::class_<State>(
        m, "State", "What an optimiser remembers: 0 to 2 moments of each weight.");

    bind_plan<float>(m, "Plan",
                     "A network in float32 on one instruction set's kernels.")
        .def(
            "__init__",
            [](Plan<float>* self, std::vector<Step> steps, int64_t weight_count,
               const std::string& isa, bool direct) {
                new (self) Plan<float>(
                    std::move(steps), weight_count, kernels_named(isa),
                    direct ? Convolutions::direct : Convolutions::automatic);
            },
            "steps"_a, "weight_count"_a, "isa"_a = "", "direct"_a = false,
            "direct: without minimal filtering, whose results differ by rounding.")
        .def_prop_ro("isa",
                     [](const Plan<float>& plan) { return plan.kernels().wide.name; })
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
                     [](const Plan<double>& plan) { return plan.kernels().wide.name; });
}

}  // namespace striate
