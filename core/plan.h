// A network as resolved steps over one arena, for a block of 16 images.
//
// Every shape, offset and padding arrives settled; the plan checks that they agree and
// infers nothing. It lays out the arena, and carries one block forward and backward.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels.h"

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
    int64_t running = -1;  // batch_norm: offset of the running means, then variances
    ActivationRule rule{Activation::relu, 0.0, 1.0, 1.0};

    int64_t weights() const;  // how many it has, its bias not counted
    // Whether the gradient of its input takes the place of that of its output.
    bool passes_on() const;
};

inline ConvShape conv_shape(const Step& s) {
    return {s.in.C,        s.in.H,        s.in.W,      s.out.C,     s.out.H,
            s.out.W,       s.kernel[0],   s.kernel[1], s.stride[0], s.stride[1],
            s.dilation[0], s.dilation[1], s.groups};
}

inline PoolShape pool_shape(const Step& s) {
    return {s.in.C,      s.in.H,      s.in.W,      s.out.H,    s.out.W,
            s.kernel[0], s.kernel[1], s.stride[0], s.stride[1]};
}

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
    int64_t row[kLanes];
    int real;
};

// What dropout draws its masks from; it drops where the key is active, in training.
struct DropoutKey {
    bool active = false;
    uint64_t seed = 0, epoch = 0;
};

struct AlignedDelete {
    void operator()(void* p) const { ::operator delete(p, std::align_val_t(64)); }
};
template <class T>
using AlignedArray = std::unique_ptr<T[], AlignedDelete>;
template <class T>
AlignedArray<T> allocate(int64_t count) {
    const size_t bytes = (size_t(count) * sizeof(T) + 63) / 64 * 64;
    return AlignedArray<T>(
        static_cast<T*>(::operator new(bytes > 0 ? bytes : 64, std::align_val_t(64))));
}

// The memory that carries a block through the network.
template <class T>
struct Arena {
    AlignedArray<T> values;         // activations, at the plan's offsets
    AlignedArray<int32_t> winners;  // of max pooling
    AlignedArray<T> gradients;      // at the plan's offsets
    std::vector<char> arrived;      // step + 1: whether its gradient is there
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

enum class Purpose { inference, gradient };

// Where the backward pass leaves what it finds.
template <class T>
struct GradientSink {
    T* conv =
        nullptr;  // convolutions' gradients, compact (Plan::conv_offset); may be null
    // Image-major copies for dense layers, by step: rows of this block; may be empty
    std::vector<T*> dense_inputs, dense_gradients;
};

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
    Plan(std::vector<Step> steps, int64_t weight_count, const Kernels<T>& kernels);

    const std::vector<Step>& steps() const { return steps_; }
    const Kernels<T>& kernels() const { return kernels_; }
    const SingleLayout& single() const { return single_; }
    int64_t weight_count() const { return weight_count_; }
    // Weights before the running statistics, which gradients and updates leave alone.
    int64_t trainable_count() const { return trainable_count_; }
    int64_t conv_count() const { return conv_count_; }
    int64_t conv_offset(size_t step) const { return conv_offset_[step]; }
    // The step that completes a layer, or -1.
    int step_of(int layer) const;

    int64_t arena_bytes(Purpose purpose) const;
    Arena<T> make_arena(Purpose purpose) const;

    void load(const Source<T>& source, const Block& block, Arena<T>& arena) const;
    // Steps [begin, end); calls after(step) behind each, stops early where it returns
    // false.
    bool forward(const T* weights, const Block& block, const DropoutKey& key,
                 const BatchStatistics<T>* batch, size_t begin, size_t end,
                 Arena<T>& arena, const std::function<bool(size_t)>& after) const;
    // Where the way back begins: room for the gradient of a step's output.
    T* seed(size_t step, Arena<T>& arena) const;
    // Steps end - 1 down to `begin`, as far as they lead from the seed to the output of
    // step `deepest` or later ones; -1 is the network's input. False where stopped.
    bool backward(const T* weights, const Block& block, const DropoutKey& key,
                  const BatchStatistics<T>* batch, size_t begin, size_t end,
                  int deepest, Arena<T>& arena, const GradientSink<T>& sink,
                  const std::function<bool()>& go_on) const;
    // A block's part in what batch_norm needs to know of the whole batch: before it is
    // carried forward through the step, and back.
    void measure(size_t step, const Block& block, Arena<T>& arena, double* mean,
                 double* deviation) const;
    void measure_gradient(size_t step, const T* weights, const Block& block,
                          const BatchStatistics<T>* batch, Arena<T>& arena, double* dw,
                          double* db) const;

    // Of a step; -1 stands for the network's input.
    T* output(int64_t step, Arena<T>& arena) const {
        return arena.values.get() + offset_[size_t(buffer_[size_t(step + 1)])];
    }
    T* gradient(int64_t step, Arena<T>& arena) const {
        return arena.gradients.get() +
               gradient_offset_[size_t(gradient_buffer_[size_t(step + 1)])];
    }
    // The first step that has weights: gradients go no deeper in training.
    int first_weighted() const;

  private:
    void check(size_t step) const;
    void lay_out_values(const std::vector<int>& readers);
    void lay_out_gradients(const std::vector<int>& readers);
    void deliver(const T* dx, int step, Arena<T>& arena) const;
    void drop(const Step& step, size_t index, const Block& block, const DropoutKey& key,
              const T* x, T* y) const;

    std::vector<Step> steps_;
    int64_t weight_count_;
    const Kernels<T>& kernels_;
    SingleLayout single_;
    int64_t trainable_count_;
    // By step + 1, so that the network's input comes first: the buffers of outputs and
    // of their gradients. By buffer: where it begins in the arena.
    std::vector<int> buffer_, gradient_buffer_;
    std::vector<int64_t> offset_, gradient_offset_;
    std::vector<int64_t> winner_offset_, conv_offset_;
    int64_t value_count_ = 0, winner_count_ = 0, gradient_count_ = 0, conv_count_ = 0;
};

}  // namespace striate
