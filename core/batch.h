// Batch normalisation over blocks: what they say about the batch, each for itself while
// its activations are in the cache, merged in block order once all have been there.
#pragma once

#include <vector>

#include "plan.h"

namespace striate {

// What the blocks say, and the statistics of the batch that come of it.
template <class T>
class BatchNorms {
  public:
    // Room for batches of up to so many blocks, each of so many lanes.
    BatchNorms(const Plan<T>& plan, int64_t blocks, int lanes);

    // The batch_norm steps, from below.
    const std::vector<size_t>& steps() const { return steps_; }
    const BatchStatistics<T>& statistics() const { return statistics_; }

    // Block b's part, for a range of channels: of the step's input going up, of the
    // gradients of its weights going down.
    void measure(const Passage<T>& passage, size_t step, int64_t b, const Range& range);
    void measure_gradient(const Passage<T>& passage, size_t step, int64_t b,
                          const Range& range);

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
    const int lanes_;
    std::vector<size_t> steps_;
    std::vector<Parts> parts_;  // by step
    BatchStatistics<T> statistics_;
};

}  // namespace striate
