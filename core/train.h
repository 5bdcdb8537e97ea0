// Training: steps over batches of images, each forward, backward and an update.
#pragma once

#include <vector>

#include "augment.h"
#include "blocks.h"
#include "plan.h"

namespace striate {

// Step k takes the images order[k * batch] ... of order[images].
template <class T>
struct Training {
    const int32_t* labels;
    const float* sample_weights = nullptr;  // null: all one
    const int64_t* order;
    int64_t images;
    int64_t batch;
    int64_t first_step = 0, steps = 1;
    double label_smoothing = 0.0, clip_norm = 0.0;  // 0: no clipping
    DropoutKey dropout;
    const Augmentation* augmentation = nullptr;  // drawn with dropout's key; null: none
    UpdateRule rule{};
    const double* learning_rates = nullptr;  // one a step; null: gradients only
    int64_t updates_before = 0;              // for the corrections of Adam
    T *state0 = nullptr, *state1 = nullptr;
    // After each step average += (1 - average_decay) (weights - average), running
    // statistics included; may be null
    T* average = nullptr;
    double average_decay = 0.0;
};

enum class Ending { done, interrupted, loss_not_finite, gradient_not_finite };

struct TrainingResult {
    Ending ending = Ending::done;
    std::vector<double> loss,
        gradient_norm;  // of each step done (and of the failing one)
    std::vector<int64_t> correct;
};

// Memory that the calls of one training hand on: taken anew each time, it would cost a
// page fault every 4 KB. Made for one plan, as much of it as the call needs.
template <class T>
using Arenas = std::vector<Arena<T>>;

// Changes weights and states, or, with no learning rates, leaves both alone and the
// gradient of the one step in gradient[weight_count].
template <class T>
TrainingResult run_training(const Plan<T>& plan, T* weights, T* gradient,
                            const Source<T>& source, const Training<T>& training,
                            Arenas<T>& arenas, int threads,
                            const Interrupted& interrupted);

// Bytes that a call takes besides the caller's arrays.
template <class T>
int64_t training_bytes(const Plan<T>& plan, int64_t batch, int threads);

}  // namespace striate
