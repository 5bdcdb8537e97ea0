// Batch normalisation over blocks: the stages into which it cuts their way, and what
// they say about the batch, each for itself while its activations are in the cache,
// merged in block order once all have been there.
#pragma once

#include <vector>

#include "plan.h"

namespace striate {

// A part of a block's way: up through the steps [first, last); or from `first` up
// to the loss and down again to `last`; or down through [first, last). `norm` is
// the batch_norm step before which it ends, -1 at the very end.
enum class Way { up, turn, down };
struct Stage {
    Way way;
    size_t first, last;
    int norm;
};

// The stages of training, in their order: one where there is no batch_norm.
template <class T>
std::vector<Stage> stages_of(const Plan<T>& plan);

// What the blocks say, and the statistics of the batch that come of it.
template <class T>
class BatchNorms {
  public:
    // Room for batches of up to so many blocks.
    BatchNorms(const Plan<T>& plan, int64_t blocks);

    // The batch_norm steps, from below.
    const std::vector<size_t>& steps() const { return steps_; }
    const BatchStatistics<T>& statistics() const { return statistics_; }

    // Block b's part: of its input going up, of the gradients of its weights going
    // down. `batch`: the statistics in use, null for the running ones.
    void measure(size_t step, int64_t b, const Block& block, Arena<T>& arena);
    void measure_gradient(size_t step, const T* weights, int64_t b, const Block& block,
                          const BatchStatistics<T>* batch, Arena<T>& arena);

    // All blocks' parts of a batch of so many images.
    void merge(size_t step, int64_t images);
    void merge_gradients(size_t step, int64_t images, T* gradient);

    // Moves the running statistics among the weights towards those of the batch.
    void update_running(int64_t images, T* weights) const;

  private:
    // By block and channel: mean and sum of squared deviations of the input going up,
    // gradients of weights and biases going down.
    struct Parts {
        std::vector<double> first, second;
    };

    const Plan<T>& plan_;
    std::vector<size_t> steps_;
    std::vector<Parts> parts_;  // by step
    BatchStatistics<T> statistics_;
};

}  // namespace striate
