// A network as resolved steps, for blocks of 16 images or of 8.
//
// Every shape, offset and padding arrives settled; the plan checks that they agree and
// infers nothing. It carries ranges of a block's channels through the chains of a
// program (program.h).
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "kernels.h"
#include "program.h"
#include "winograd.h"

namespace striate {

struct Shape {
    int64_t C = 1, H = 1, W = 1;
    int64_t count() const { return C * H * W; }
    bool operator==(const Shape&) const = default;
};

enum class Kind {
    pad,
    conv,
    max_pool,
    average_pool,
    dense,
    batch_norm,
    add,
    activation,
    dropout,
    flatten
};

struct Step {
    Kind kind = Kind::flatten;
    int layer = -1;   // the layer whose output this step completes; -1 for a pad
    int source = -1;  // the step whose output it reads; -1 for the network's input
    int other = -1;   // add: the second one
    Shape in, out;
    int64_t kernel[2] = {1, 1}, stride[2] = {1, 1}, dilation[2] = {1, 1}, groups = 1;
    int64_t top = 0, left = 0;  // pad: rows above and columns before the input
    // pad: what fills the border; dropout: the rate; batch_norm: momentum
    double value = 0.0;
    double epsilon = 0.0;            // batch_norm
    int64_t weight = -1, bias = -1;  // offsets in the flat weights; -1 for none
    // conv: which of its passes go by minimal filtering; the plan chooses
    Filtering filtering{};
    int64_t running = -1;  // batch_norm: offset of the running means, then variances
    ActivationRule rule{Activation::relu, 0.0, 1.0, 1.0};

    ConvShape conv() const;
    PoolShape pool() const;
    int64_t weights() const;  // how many it has, its bias not counted
    // Whether the gradient of its input takes the place of that of its output.
    bool passes_on() const;
    // Whether it computes channels, or groups of them, each from its own alone.
    bool by_channel() const;
    // Whether it is one of the activations that a GradientRule is about.
    bool rectifies() const;
};

// How convolutions are computed: by the rule of winograd.h, or directly all of them.
enum class Convolutions { automatic, direct };

// Images as they lie in the caller's memory: uint8 pixels with a table, or values.
template <class T>
struct Source {
    int64_t count = 0;
    const uint8_t* pixels = nullptr;  // [count][height][width][C]
    PixelShape shape{};
    const float* table = nullptr;  // [C][256]
    const float* fill = nullptr;   // [C]
    const T* values = nullptr;     // [count][H][W][C], where pixels is null
};

// Which images a block holds: lanes beyond `real` repeat the first one, masked.
struct Block {
    int64_t row[kMostLanes];
    int real;
};

// What dropout draws its masks from; it drops where the key is active, in training.
struct DropoutKey {
    bool active = false;
    uint64_t seed = 0, epoch = 0;
};

constexpr size_t kHugePage = size_t(2) << 20;

struct AlignedDelete {
    void operator()(void* p) const { std::free(p); }
};
template <class T>
using AlignedArray = std::unique_ptr<T[], AlignedDelete>;
// Aligned to 64 bytes; what is large, in huge pages where the system has them: walks
// over many small ones cost networks with wide planes a fifth of their time.
template <class T>
AlignedArray<T> allocate(int64_t count) {
    const size_t bytes = size_t(std::max<int64_t>(count, 1)) * sizeof(T);
    const size_t unit = bytes < kHugePage ? 64 : kHugePage;
    const size_t whole = (bytes + unit - 1) / unit * unit;
    void* p = std::aligned_alloc(unit, whole);
    if (!p) throw std::bad_alloc();
#if defined(__linux__)
    if (unit == kHugePage) madvise(p, whole, MADV_HUGEPAGE);
#endif
    return AlignedArray<T>(static_cast<T*>(p));
}

// The memory that carries a block through a program.
template <class T>
struct Arena {
    int lanes = 0;
    AlignedArray<T> values;         // outputs and their gradients, as the program says
    AlignedArray<int32_t> winners;  // of max pooling
};

// What one batch says about a batch_norm step, by channel: mean and biased variance of
// its input and, going back, the means of the gradients of its weights.
template <class T>
struct BatchMoments {
    std::vector<T> mean, variance, mean_dw, mean_db;
};
// By step; null stands for the running statistics among the weights.
template <class T>
using BatchStatistics = std::vector<BatchMoments<T>>;

// Where the gradients of weights are left: convolutions' compact, at
// Plan::conv_offset, and for dense layers image-major copies of what they came from, by
// step: rows of this block.
template <class T>
struct GradientSink {
    T* conv = nullptr;
    T *const *dense_inputs = nullptr, *const *dense_gradients = nullptr;
    bool lone = false;  // of a step of one image, whose convolutions go by lone_
};

// A block on its way through a program.
template <class T>
struct Passage {
    const Program& program;
    const Kernels<T>& kernels;
    const T* weights;
    const T* folded;  // of Plan::fold, where the program has any
    Block block;
    DropoutKey key;
    const BatchStatistics<T>* batch;
    Arena<T>& arena;
    T* scratch;  // of Plan::scratch_count values, or lone_count; the thread's own
    GradientSink<T> sink{};
};

// Rows of a pool's output, and those of its convolution's that they are taken from.
struct Band {
    int64_t first, rows, above, height;
};

// What is done to a block besides its steps: whoever carries it does it.
using OtherAction = std::function<void(const Action&, const Range&)>;
// Where one image alone has its activations (single.h), in one piece of memory.
struct SingleLayout {
    std::vector<int64_t> offset;  // of a step's output, by step + 1: the input is first
    int64_t scratch = 0, count = 0;
    int64_t products = 0;  // multiply-adds
};
SingleLayout single_layout(const std::vector<Step>& steps);

template <class T>
class Plan {
  public:
    Plan(std::vector<Step> steps, int64_t weight_count, const KernelSet<T>& kernels,
         Convolutions convolutions = Convolutions::direct);

    const std::vector<Step>& steps() const { return steps_; }
    const KernelSet<T>& kernels() const { return kernels_; }
    const SingleLayout& single() const { return single_; }
    int64_t weight_count() const { return weight_count_; }
    // Weights before the running statistics, which gradients and updates leave alone.
    int64_t trainable_count() const { return trainable_count_; }
    int64_t conv_count() const { return conv_count_; }
    int64_t conv_offset(size_t step) const { return conv_offset_[step]; }
    // The step that completes a layer, or -1.
    int step_of(int layer) const;

    // What training makes of a block, and predicting the last step's output.
    const Program& training() const { return training_; }
    const Program& prediction() const { return prediction_; }
    Arena<T> make_arena(const Program& program, int lanes) const;
    int64_t arena_bytes(const Program& program, int lanes) const;
    // Weights and biases of the convolutions that do a batch_norm as well, from those
    // of both. They are made for a call and not kept: weights change in place.
    AlignedArray<T> fold(const Program& program, const T* weights) const;
    int64_t fold_count() const { return fold_count_; }
    // Values of memory that minimal filtering works in, for each thread.
    int64_t scratch_count() const { return scratch_count_; }
    // The same where convolutions go by the kernels for a single image.
    int64_t lone_count() const { return lone_count_; }

    void load(const Source<T>& source, const Passage<T>& passage) const;
    // One of so many equal parts of a chain's channels through all its actions.
    void carry(const Passage<T>& passage, const Chain& chain, int64_t part,
               int64_t parts, const OtherAction& other) const;
    // What batch_norm needs to know of these channels: a block's part in the statistics
    // of its input and, going back, in the gradients of its weights, each by channel.
    void measure(const Passage<T>& passage, size_t step, const Range& range,
                 double* mean, double* deviation) const;
    void measure_gradient(const Passage<T>& passage, size_t step, const Range& range,
                          double* dw, double* db) const;

    // All channels of the output of a step; -1 stands for the network's input.
    T* output(int64_t step, const Passage<T>& passage) const {
        return values_at(passage.program.values[size_t(step + 1)], passage);
    }
    T* gradient(int64_t step, const Passage<T>& passage) const {
        return values_at(passage.program.gradients[size_t(step + 1)], passage);
    }
    // The first step that has weights: gradients go no deeper in training.
    int first_weighted() const;

  private:
    static T* values_at(int64_t place, const Passage<T>& passage) {
        return passage.arena.values.get() + place * passage.kernels.lanes;
    }
    void check(size_t step) const;
    void choose_filtering();
    void forward(const Passage<T>& passage, size_t step, const Range& range) const;
    void weight_gradient(const Passage<T>& passage, size_t step,
                         const Range& range) const;
    // A convolution and its pool, a band at a time (program.h).
    void forward_by_bands(const Passage<T>& passage, size_t step, const Range& range,
                          const T* x, const T* w, const T* bias,
                          const ActivationRule* rectifier) const;
    void gradient_of_band(const Passage<T>& passage, size_t pool_step, int64_t channel,
                          int64_t channels, const Band& band, T* between) const;
    void weight_gradient_by_bands(const Passage<T>& passage, size_t step,
                                  const Range& range, const T* x, T* dw, T* db) const;
    void input_gradient_by_bands(const Passage<T>& passage, size_t step,
                                 const Range& range, const ActivationRule* rectifier,
                                 const T* given, T* dx) const;
    void input_gradient(const Passage<T>& passage, const Action& action,
                        const Range& range) const;
    void deliver(const Passage<T>& passage, const T* dx, Delivery how, int step,
                 const Range& range) const;
    void drop(const Step& step, size_t index, const Passage<T>& passage,
              const Range& range, const T* x, T* y) const;

    std::vector<Step> steps_;
    int64_t weight_count_;
    const KernelSet<T> kernels_;
    SingleLayout single_;
    int64_t trainable_count_;
    std::vector<int64_t> winner_offset_, conv_offset_, fold_offset_;
    int64_t winner_count_ = 0, conv_count_ = 0, fold_count_ = 0, scratch_count_ = 0;
    int64_t lone_count_ = 0;
    Program training_, prediction_;
};

}  // namespace striate
