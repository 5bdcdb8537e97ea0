// Whole sets of images through a plan: prediction, gradients of the input, training.
// Each call starts its team of threads, hands out blocks or slices as they come, and
// gives the same bits however many threads there are.
#pragma once

#include <functional>
#include <vector>

#include "augment.h"
#include "plan.h"

namespace striate {

// Asked about every twentieth of a second on the calling thread; true stops the run.
using Interrupted = std::function<bool()>;

// One wanted layer: the step whose output it is and where to write it,
// [count][H][W][C] or [count][C].
template <class T>
struct Wanted {
    size_t step;
    T* out;
    bool probabilities = false;  // softmax over C instead of the plain values
    double temperature = 1.0;    // by which softmax divides them first
};

// Returns false where it was interrupted.
template <class T>
bool run_forward(const Plan<T>& plan, const T* weights, const Source<T>& source,
                 const std::vector<Wanted<T>>& wanted, int threads,
                 const Interrupted& interrupted);

// The gradient of the input, [count][H][W][C], of sum(seeds * output of `step`), where
// seeds is [count][H][W][C]; or, with labels, of each image's own cross-entropy.
template <class T>
struct InputGradient {
    size_t step;
    const T* seeds = nullptr;
    const int32_t* labels = nullptr;
    double label_smoothing = 0.0;
    T* out = nullptr;
};
template <class T>
bool run_input_gradient(const Plan<T>& plan, const T* weights, const Source<T>& source,
                        const InputGradient<T>& what, int threads,
                        const Interrupted& interrupted);

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

// Bytes that each of the calls takes besides the caller's arrays.
template <class T>
int64_t inference_bytes(const Plan<T>& plan, int64_t images, int threads);
template <class T>
int64_t training_bytes(const Plan<T>& plan, int64_t batch, int threads);

}  // namespace striate
