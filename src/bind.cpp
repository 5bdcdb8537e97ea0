// With bind.h and bind_plan.cpp the only file that knows both worlds. Every array is
// checked here against the plan before its address goes anywhere; the GIL is free while
// the core computes, and what is returned owns its memory. Messages here mean a fault
// in Striate's own Python code: users' mistakes are answered there, in their words.
#include "bind.h"

#include <cstdlib>
#include <map>

#include "check.h"
#include "dispatch.h"
#include "random.h"
#include "threads.h"

namespace striate {
namespace {

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
    make_augmented(augmentation, seed, epoch, source, kernels_named("").wide,
                   indices.data(), int64_t(indices.shape(0)), result.data());
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
    nb::class_<PixelTable>(m, "PixelTable")
        .def(nb::init<Array<const float, 2>, Array<const float, 1>,
                      std::array<int64_t, 2>>(),
             "values"_a, "fill"_a, "input"_a,
             "Pixels become values[c, pixel], in an input (H, W) with fill[c] around.");
    nb::class_<Pixels>(m, "Pixels")
        .def(nb::init<Array<const uint8_t, 4>, const PixelTable&,
                      std::array<int64_t, 2>>(),
             "images"_a, "table"_a, "offset"_a,
             "uint8 images (N, height, width, C), placed at offset (top, left) of the "
             "table's input.");
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
    bind_plans(m);
    m.def("augmented", &augmented, "pixels"_a, "augmentation"_a, "seed"_a, "epoch"_a,
          "indices"_a, "What training sees of the images: float32 (n, H, W, C).");
    m.def("isas", &available_tables,
          "Instruction sets this processor runs, fastest first, 'reference' last.");
    m.def(
        "default_isa", [] { return kernels_named("").wide.name; },
        "The instruction set in use; STRIATE_ISA forces one.");
    m.def(
        "environment",
        [](const char* name) {
            const char* value = std::getenv(name);
            return nb::steal<nb::str>(PyUnicode_DecodeFSDefault(value ? value : ""));
        },
        "name"_a, "An environment variable; os.environ takes ten times as long.");
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
