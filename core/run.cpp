#include "run.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <deque>

#include "threads.h"

namespace striate {

namespace {

int64_t blocks_of(int64_t images) { return (images + kLanes - 1) / kLanes; }
int64_t padded(int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

// The batch alone decides into how many slices it is cut: enough to keep eight threads
// busy, few enough that adding their gradients stays cheap.
int64_t slices_of(int64_t blocks) { return std::min<int64_t>(blocks, 8); }

// Weights of one update, or of one sum over slices, that a thread claims at a time.
constexpr int64_t kChunk = 4096;

// Whether to go on; asks the caller now and then, on thread 0 only.
class Watch {
  public:
    explicit Watch(const Interrupted& interrupted) : interrupted_(interrupted) {}

    bool go_on(int thread) {
        if (thread == 0) {
            const auto now = std::chrono::steady_clock::now();
            if (now - asked_ > std::chrono::milliseconds(50)) {
                asked_ = now;
                if (interrupted_()) stopped_.store(true, std::memory_order_relaxed);
            }
        }
        return !stopped();
    }
    bool stopped() const { return stopped_.load(std::memory_order_relaxed); }

  private:
    const Interrupted& interrupted_;
    std::chrono::steady_clock::time_point asked_ = std::chrono::steady_clock::now();
    std::atomic<bool> stopped_{false};
};

Block block_at(const int64_t* order, int64_t begin, int64_t end) {
    Block block;
    block.real = int(std::min<int64_t>(kLanes, end - begin));
    for (int l = 0; l < kLanes; ++l) {
        const int64_t at = begin + (l < block.real ? l : 0);
        block.row[l] = order ? order[at] : at;
    }
    return block;
}

// Writes the block's values x[C][H][W][L] to images of out[count][H][W][C].
template <class T>
void unload(const Shape& shape, const Block& block, const T* x, T* out) {
    const int64_t pixels = shape.H * shape.W;
    for (int l = 0; l < block.real; ++l) {
        T* image = out + block.row[l] * shape.count();
        for (int64_t i = 0; i < pixels; ++i)
            for (int64_t c = 0; c < shape.C; ++c)
                image[i * shape.C + c] = x[(c * pixels + i) * kLanes + l];
    }
}

// Every block of `images` once, by `visit(block, arena, watch and thread)`.
template <class T, class Visit>
bool for_each_block(const Plan<T>& plan, Purpose purpose, int64_t images, int threads,
                    const Interrupted& interrupted, Visit visit) {
    const int64_t blocks = blocks_of(images);
    const int team = int(std::clamp<int64_t>(blocks, 1, threads));
    std::vector<Arena<T>> arenas;
    for (int t = 0; t < team; ++t) arenas.push_back(plan.make_arena(purpose));
    Watch watch(interrupted);
    std::atomic<int64_t> next{0};
    run_team(team, [&](int thread, Meeting&) {
        const FlushDenormals flush;
        const auto go_on = [&] { return watch.go_on(thread); };
        for (int64_t b; go_on() && (b = next.fetch_add(1)) < blocks;)
            visit(block_at(nullptr, b * kLanes, images), arenas[size_t(thread)], go_on);
    });
    return !watch.stopped();
}

}  // namespace

template <class T>
bool run_forward(const Plan<T>& plan, const T* weights, const Source<T>& source,
                 const std::vector<Wanted<T>>& wanted, int threads,
                 const Interrupted& interrupted) {
    size_t end = 0;
    for (const Wanted<T>& w : wanted) end = std::max(end, w.step + 1);
    return for_each_block(
        plan, Purpose::inference, source.count, threads, interrupted,
        [&](const Block& block, Arena<T>& arena, const auto& go_on) {
            plan.load(source, block, arena);
            plan.forward(weights, block, {}, nullptr, 0, end, arena, [&](size_t step) {
                for (const Wanted<T>& w : wanted) {
                    if (w.step != step) continue;
                    const Shape& shape = plan.steps()[step].out;
                    T* values = plan.output(int64_t(step), arena);
                    // The last step's output is read by nobody else.
                    if (w.probabilities) {
                        const T temperature = T(w.temperature);
                        for (int64_t i = 0; i < shape.C * kLanes; ++i)
                            values[i] /= temperature;  // by 1 it keeps their bits
                        plan.kernels().softmax(shape.C, values, values);
                    }
                    unload(shape, block, values, w.out);
                }
                return go_on();
            });
        });
}

template <class T>
bool run_input_gradient(const Plan<T>& plan, const T* weights, const Source<T>& source,
                        const InputGradient<T>& what, int threads,
                        const Interrupted& interrupted) {
    const Shape top = plan.steps()[what.step].out, in = plan.steps()[0].in;
    return for_each_block(
        plan, Purpose::gradient, source.count, threads, interrupted,
        [&](const Block& block, Arena<T>& arena, const auto& go_on) {
            plan.load(source, block, arena);
            const auto after = [&](size_t) { return go_on(); };
            if (!plan.forward(weights, block, {}, nullptr, 0, what.step + 1, arena,
                              after))
                return;
            T* seed = plan.seed(what.step, arena);
            if (what.labels) {
                int32_t labels[kLanes], correct[kLanes];
                alignas(64) T ones[kLanes];
                double loss[kLanes];
                for (int l = 0; l < kLanes; ++l) {
                    labels[l] = l < block.real ? what.labels[block.row[l]] : -1;
                    ones[l] = T(1);
                }
                plan.kernels().softmax_cross_entropy(
                    top.C, plan.output(int64_t(what.step), arena), labels, nullptr,
                    nullptr, ones, what.label_smoothing, seed, loss, correct);
            } else {
                const int64_t pixels = top.H * top.W;
                for (int l = 0; l < kLanes; ++l) {
                    const T* image = what.seeds + block.row[l] * top.count();
                    for (int64_t i = 0; i < pixels; ++i)
                        for (int64_t c = 0; c < top.C; ++c)
                            seed[(c * pixels + i) * kLanes + l] =
                                l < block.real ? image[i * top.C + c] : T(0);
                }
            }
            if (plan.backward(weights, block, {}, nullptr, 0, what.step + 1, -1, arena,
                              {}, go_on))
                unload(in, block, plan.gradient(-1, arena), what.out);
        });
}

namespace {

// Everything a training run shares between its threads, and the three phases of a step:
// slices of the batch forward and backward; gradients summed, slice by slice for
// convolutions and row by row for dense layers; the update. The first phase is one walk
// of each block up and down the network, or, with batch_norm, one stage up to each such
// step and one down to it again, between which the threads meet to add up what the
// blocks say about the batch.
template <class T>
class Trainer {
  public:
    Trainer(const Plan<T>& plan, T* weights, T* gradient, const Source<T>& source,
            const Training<T>& training, Arenas<T>& arenas, int threads,
            const Interrupted& interrupted)
        : plan_(plan),
          weights_(weights),
          gradient_(gradient),
          source_(source),
          training_(training),
          arenas_(arenas),
          watch_(interrupted),
          blocks_(blocks_of(std::min(training.batch, training.images))),
          slices_(slices_of(blocks_)) {
        const auto& steps = plan.steps();
        add_stages();
        // A thread keeps a block only where nothing interrupts its way.
        const size_t wanted = size_t(norms_.empty() ? threads : blocks_);
        while (arenas_.size() < wanted)
            arenas_.push_back(plan.make_arena(Purpose::gradient));
        if (training.augmentation)
            for (int t = 0; t < threads; ++t)
                augmenters_.emplace_back(*training.augmentation, training.dropout.seed,
                                         training.dropout.epoch, source,
                                         training.sample_weights, plan.kernels());
        mixing_.resize(augmenters_.empty() ? 0 : size_t(blocks_));
        slice_gradients_ = allocate<T>(slices_ * conv_stride());
        for (int64_t s = 0; s < slices_; ++s)
            slice_parts_.push_back(slice_gradients_.get() + s * conv_stride());
        loss_.resize(size_t(blocks_));
        correct_.resize(size_t(blocks_));
        dense_inputs_.resize(steps.size());
        dense_gradients_.resize(steps.size());
        for (size_t i = 0; i < steps.size(); ++i) add_tasks(i);
        squares_.resize(tasks_.size());
    }

    TrainingResult run(int threads) {
        start_step();
        run_team(threads, [this](int thread, Meeting& meeting) {
            const FlushDenormals flush;
            while (!finished_) {
                for (size_t g = 0; g < stages_.size() && !finished_; ++g) {
                    for (int64_t s; (s = next_slice_.fetch_add(1)) < step_slices_;)
                        do_slice(s, thread, stages_[g]);
                    meeting.wait([this, g] { finish_stage(stages_[g]); });
                }
                if (finished_) break;
                for (int64_t t; (t = next_task_.fetch_add(1)) < int64_t(tasks_.size());)
                    squares_[size_t(t)] = do_task(tasks_[size_t(t)]);
                meeting.wait([this] { finish_gradients(); });
                if (finished_) break;
                for (int64_t c;
                     (c = next_chunk_.fetch_add(1)) * kChunk < trainable_count();)
                    do_update(c * kChunk);
                meeting.wait([this] { finish_step(); });
            }
        });
        return std::move(result_);
    }

  private:
    // A share of the summing that one thread claims: a range of a convolution's
    // gradient, or rows of a dense layer's.
    struct Task {
        size_t step;
        int64_t first, last;
    };

    // A part of a block's way: up through the steps [first, last); or from `first` up
    // to the loss and down again to `last`; or down through [first, last). `norm` is
    // the batch_norm step before which it ends, -1 at the very end.
    enum class Way { up, turn, down };
    struct Stage {
        Way way;
        size_t first, last;
        int norm;
    };
    // What the blocks say about the batch at a batch_norm step, [block][C]: mean and
    // sum of squared deviations of its input going up, gradients of its weights going
    // down.
    struct Norm {
        std::vector<double> first, second;
    };

    int64_t trainable_count() const { return plan_.trainable_count(); }
    int64_t conv_stride() const {
        return padded(std::max<int64_t>(plan_.conv_count(), 1));
    }

    void add_stages() {
        const auto& steps = plan_.steps();
        std::vector<size_t> places;
        for (size_t i = 0; i < steps.size(); ++i)
            if (steps[i].kind == Kind::batch_norm) places.push_back(i);
        if (!places.empty()) {
            norms_.resize(steps.size());
            batch_.resize(steps.size());
        }
        size_t first = 0;
        for (size_t i : places) {
            const size_t count = size_t(steps[i].in.C);
            norms_[i].first.resize(size_t(blocks_) * count);
            norms_[i].second.resize(size_t(blocks_) * count);
            for (auto* values : {&batch_[i].mean, &batch_[i].variance,
                                 &batch_[i].mean_dw, &batch_[i].mean_db})
                values->resize(count);
            stages_.push_back({Way::up, first, i, int(i)});
            first = i;
        }
        // And down to just above the k-th of these steps from below, or to the lowest.
        const size_t lowest = std::min(size_t(plan_.first_weighted()), steps.size());
        const auto end = [&](size_t k) { return k > 0 ? places[k - 1] + 1 : lowest; };
        const auto norm = [&](size_t k) { return k > 0 ? int(places[k - 1]) : -1; };
        size_t k = places.size();
        stages_.push_back({Way::turn, first, end(k), norm(k)});
        for (; k > 0; --k)
            stages_.push_back({Way::down, end(k - 1), end(k), norm(k - 1)});
    }

    void add_tasks(size_t index) {
        const Step& s = plan_.steps()[index];
        if (s.kind == Kind::dense) {
            dense_inputs_[index] = allocate<T>(blocks_ * kLanes * padded(s.in.count()));
            dense_gradients_[index] = allocate<T>(blocks_ * kLanes * padded(s.out.C));
            // Columns beyond the layer's stay zero for good.
            std::fill_n(dense_inputs_[index].get(),
                        blocks_ * kLanes * padded(s.in.count()), T(0));
            std::fill_n(dense_gradients_[index].get(),
                        blocks_ * kLanes * padded(s.out.C), T(0));
            for (int64_t row = 0; row < s.out.C; row += 12)
                tasks_.push_back({index, row, std::min(row + 12, s.out.C)});
        } else if (s.kind == Kind::conv) {
            const bool last = index + 1 == plan_.steps().size();
            const int64_t end =
                last ? plan_.conv_count() : plan_.conv_offset(index + 1);
            const int64_t count = end - plan_.conv_offset(index);
            for (int64_t at = 0; at < count; at += kChunk)
                tasks_.push_back({index, at, std::min(at + kChunk, count)});
        } else if (s.kind == Kind::batch_norm) {
            tasks_.push_back({index, 0, s.in.C});
        }
    }

    void start_step() {
        begin_ = (training_.first_step + step_) * training_.batch;
        end_ = std::min(begin_ + training_.batch, training_.images);
        step_blocks_ = blocks_of(end_ - begin_);
        step_slices_ = slices_of(step_blocks_);
        weight_sum_ = double(end_ - begin_);
        if (training_.sample_weights) {
            weight_sum_ = 0.0;
            for (int64_t i = begin_; i < end_; ++i)
                weight_sum_ += double(training_.sample_weights[training_.order[i]]);
            // A batch of weightless images has loss and gradient 0, not 0 / 0.
            if (weight_sum_ == 0.0) weight_sum_ = 1.0;
        }
        next_slice_ = next_task_ = next_chunk_ = 0;
    }

    // Dropout and batch_norm are in training, or the network is as it predicts.
    const BatchStatistics<T>* batch() const {
        return training_.dropout.active && !norms_.empty() ? &batch_ : nullptr;
    }

    void do_slice(int64_t slice, int thread, const Stage& stage) {
        T* conv = slice_parts_[size_t(slice)];
        if (stage.way == Way::turn) std::fill_n(conv, plan_.conv_count(), T(0));
        const int64_t first = slice * step_blocks_ / step_slices_;
        const int64_t last = (slice + 1) * step_blocks_ / step_slices_;
        for (int64_t b = first; b < last; ++b) {
            Arena<T>& arena = arenas_[size_t(norms_.empty() ? thread : b)];
            if (!do_block(b, thread, stage, arena, conv)) return;
        }
    }

    bool do_block(int64_t b, int thread, const Stage& stage, Arena<T>& arena, T* conv) {
        const size_t steps = plan_.steps().size();
        const Block block = block_at(training_.order, begin_ + b * kLanes, end_);
        const auto go_on = [&] { return watch_.go_on(thread); };
        if (stage.way != Way::down) {
            if (&stage == stages_.data()) load(b, block, thread, arena);
            const size_t top = stage.way == Way::up ? stage.last : steps;
            if (!plan_.forward(weights_, block, training_.dropout, batch(), stage.first,
                               top, arena, [&](size_t) { return go_on(); }))
                return false;
        }
        if (stage.way == Way::turn) take_loss(b, block, arena);
        if (stage.way != Way::up) {
            const size_t top = stage.way == Way::turn ? steps : stage.last;
            const size_t bottom = stage.way == Way::turn ? stage.last : stage.first;
            if (!plan_.backward(weights_, block, training_.dropout, batch(), bottom,
                                top, plan_.first_weighted(), arena, sink_of(b, conv),
                                go_on))
                return false;
        }
        if (stage.norm >= 0) measure(b, block, stage, arena);
        return true;
    }

    void load(int64_t b, const Block& block, int thread, Arena<T>& arena) {
        if (training_.augmentation) {
            augmenters_[size_t(thread)].load(block.row, plan_.output(-1, arena),
                                             mixing_[size_t(b)]);
        } else {
            plan_.load(source_, block, arena);
        }
    }

    // The block's loss and hits; leaves the gradient of the last step's output.
    void take_loss(int64_t b, const Block& block, Arena<T>& arena) {
        const size_t last = plan_.steps().size() - 1;
        int32_t labels[kLanes], partners[kLanes], correct[kLanes];
        alignas(64) T shares[kLanes];
        double loss[kLanes];
        const bool mixed = training_.augmentation && training_.augmentation->mixes();
        const Mixing<T>* mixing = mixed ? &mixing_[size_t(b)] : nullptr;
        for (int l = 0; l < kLanes; ++l) {
            const bool real = l < block.real;
            if (mixing) partners[l] = training_.labels[mixing->partner[l]];
            labels[l] = real ? training_.labels[block.row[l]] : -1;
            const double weight = training_.sample_weights
                                      ? double(training_.sample_weights[block.row[l]])
                                      : 1.0;
            shares[l] = real ? T(weight / weight_sum_) : T(0);
        }
        plan_.kernels().softmax_cross_entropy(
            plan_.steps()[last].out.C, plan_.output(int64_t(last), arena), labels,
            mixing ? partners : nullptr, mixing ? mixing->share : nullptr, shares,
            training_.label_smoothing, plan_.seed(last, arena), loss, correct);
        loss_[size_t(b)] = 0.0;
        correct_[size_t(b)] = 0;
        for (int l = 0; l < block.real; ++l) {
            loss_[size_t(b)] += loss[l] * double(shares[l]);
            correct_[size_t(b)] += correct[l];
        }
    }

    GradientSink<T> sink_of(int64_t b, T* conv) const {
        const size_t steps = plan_.steps().size();
        GradientSink<T> sink;
        sink.conv = conv;
        sink.dense_inputs.resize(steps);
        sink.dense_gradients.resize(steps);
        for (size_t i = 0; i < steps; ++i) {
            if (!dense_inputs_[i]) continue;
            const Step& s = plan_.steps()[i];
            sink.dense_inputs[i] =
                dense_inputs_[i].get() + b * kLanes * padded(s.in.count());
            sink.dense_gradients[i] =
                dense_gradients_[i].get() + b * kLanes * padded(s.out.C);
        }
        return sink;
    }

    void measure(int64_t b, const Block& block, const Stage& stage, Arena<T>& arena) {
        const size_t i = size_t(stage.norm);
        const int64_t at = b * plan_.steps()[i].in.C;
        double* first = norms_[i].first.data() + at;
        double* second = norms_[i].second.data() + at;
        if (stage.way != Way::up) {
            plan_.measure_gradient(i, weights_, block, batch(), arena, first, second);
        } else if (batch()) {
            plan_.measure(i, block, arena, first, second);
        }
    }

    int64_t images_of(int64_t b) const {
        return std::min<int64_t>(kLanes, end_ - begin_ - b * kLanes);
    }

    // Mean and variance of the batch from those of its blocks, in their order (Chan,
    // Golub and LeVeque, 1979).
    void merge_moments(size_t i) {
        const Step& s = plan_.steps()[i];
        const int64_t C = s.in.C, pixels = s.in.H * s.in.W;
        for (int64_t c = 0; c < C; ++c) {
            double count = 0.0, mean = 0.0, deviation = 0.0;
            for (int64_t b = 0; b < step_blocks_; ++b) {
                const double more = double(images_of(b) * pixels), all = count + more;
                const double off = norms_[i].first[size_t(b * C + c)] - mean;
                deviation += norms_[i].second[size_t(b * C + c)] +
                             off * off * count * more / all;
                mean += off * more / all;
                count = all;
            }
            batch_[i].mean[size_t(c)] = T(mean);
            batch_[i].variance[size_t(c)] = T(deviation / count);
        }
    }

    void merge_gradients(size_t i) {
        const Step& s = plan_.steps()[i];
        const int64_t C = s.in.C;
        const double values = double((end_ - begin_) * s.in.H * s.in.W);
        for (int64_t c = 0; c < C; ++c) {
            double dw = 0.0, db = 0.0;
            for (int64_t b = 0; b < step_blocks_; ++b) {
                dw += norms_[i].first[size_t(b * C + c)];
                db += norms_[i].second[size_t(b * C + c)];
            }
            gradient_[s.weight + c] = T(dw);
            gradient_[s.bias + c] = T(db);
            batch_[i].mean_dw[size_t(c)] = T(dw / values);
            batch_[i].mean_db[size_t(c)] = T(db / values);
        }
    }

    void finish_stage(const Stage& stage) {
        if (watch_.stopped()) return finish(Ending::interrupted);
        next_slice_ = 0;
        if (stage.norm < 0) return finish_slices();
        if (stage.way != Way::up) {
            merge_gradients(size_t(stage.norm));
        } else if (batch()) {
            merge_moments(size_t(stage.norm));
        }
    }

    void finish_slices() {
        double loss = 0.0;
        int64_t correct = 0;
        for (int64_t b = 0; b < step_blocks_; ++b) {
            loss += loss_[size_t(b)];
            correct += correct_[size_t(b)];
        }
        result_.loss.push_back(loss);
        result_.correct.push_back(correct);
        if (!std::isfinite(loss)) finish(Ending::loss_not_finite);
    }

    double do_task(const Task& task) {
        const Step& s = plan_.steps()[task.step];
        if (s.kind == Kind::conv) {
            std::vector<const T*> parts;
            for (int64_t i = 0; i < step_slices_; ++i)
                parts.push_back(slice_parts_[size_t(i)] + plan_.conv_offset(task.step) +
                                task.first);
            return plan_.kernels().sum_slices(task.last - task.first, step_slices_,
                                              parts.data(),
                                              gradient_ + s.weight + task.first);
        }
        double squares = 0.0;
        const auto add = [&](const T* from, const T* to) {
            for (; from < to; ++from) squares += double(*from) * double(*from);
        };
        T* dw = gradient_ + s.weight;
        T* db = s.bias >= 0 ? gradient_ + s.bias : nullptr;
        if (s.kind == Kind::batch_norm) {  // merged between two stages already
            add(dw, dw + task.last);
            add(db, db + task.last);
            return squares;
        }
        const int64_t D = s.in.count();
        plan_.kernels().dense_weight_gradient(
            step_blocks_ * kLanes, D, task.first, task.last,
            dense_inputs_[task.step].get(), padded(D),
            dense_gradients_[task.step].get(), padded(s.out.C), dw, db);
        add(dw + task.first * D, dw + task.last * D);
        if (db) add(db + task.first, db + task.last);
        return squares;
    }

    void finish_gradients() {
        double squares = 0.0;
        for (double s : squares_) squares += s;
        const double norm = std::sqrt(squares);
        result_.gradient_norm.push_back(norm);
        if (!std::isfinite(norm)) return finish(Ending::gradient_not_finite);
        if (!training_.learning_rates) return finish(Ending::done);
        rule_ = training_.rule;
        rule_.learning_rate = training_.learning_rates[step_];
        const double count = double(training_.updates_before + step_ + 1);
        rule_.correction1 = 1.0 - std::pow(rule_.beta1, count);
        rule_.correction2 = 1.0 - std::pow(rule_.beta2, count);
        // As PyTorch's clip_grad_norm_: its 1e-6 keeps a zero norm from dividing.
        const double clip = training_.clip_norm;
        rule_.gradient_scale = clip > 0.0 ? std::min(1.0, clip / (norm + 1e-6)) : 1.0;
    }

    void do_update(int64_t first) {
        const int64_t count = std::min(kChunk, trainable_count() - first);
        plan_.kernels().update(rule_, count, weights_ + first, gradient_ + first,
                               training_.state0 ? training_.state0 + first : nullptr,
                               training_.state1 ? training_.state1 + first : nullptr);
        take_average(first, count);
    }

    void take_average(int64_t first, int64_t count) {
        if (training_.average)
            plan_.kernels().average(1.0 - training_.average_decay, count,
                                    weights_ + first, training_.average + first);
    }

    // As PyTorch: the running variance takes the unbiased one.
    void update_running() {
        for (size_t i = 0; i < norms_.size(); ++i) {
            const Step& s = plan_.steps()[i];
            if (s.kind != Kind::batch_norm) continue;
            const double values = double((end_ - begin_) * s.in.H * s.in.W);
            const double unbiased = values / (values - 1.0);
            T* mean = weights_ + s.running;
            T* variance = mean + s.in.C;
            for (int64_t c = 0; c < s.in.C; ++c) {
                const double m = double(batch_[i].mean[size_t(c)]);
                const double v = double(batch_[i].variance[size_t(c)]) * unbiased;
                mean[c] = T(double(mean[c]) + s.value * (m - double(mean[c])));
                variance[c] =
                    T(double(variance[c]) + s.value * (v - double(variance[c])));
            }
        }
    }

    void finish_step() {
        update_running();
        take_average(trainable_count(), plan_.weight_count() - trainable_count());
        if (++step_ == training_.steps) return finish(Ending::done);
        start_step();
    }

    void finish(Ending ending) {
        result_.ending = ending;
        finished_ = true;
    }

    const Plan<T>& plan_;
    T *weights_, *gradient_;
    const Source<T>& source_;
    const Training<T>& training_;
    Arenas<T>& arenas_;  // of each block with batch_norm, else of each thread
    Watch watch_;
    const int64_t blocks_, slices_;        // of a full batch
    std::deque<Augmenter<T>> augmenters_;  // one a thread, or none
    std::vector<Mixing<T>> mixing_;        // of each block
    std::vector<Stage> stages_;
    std::vector<Norm> norms_;  // by step; empty without batch_norm
    BatchStatistics<T> batch_;
    AlignedArray<T> slice_gradients_;
    std::vector<T*> slice_parts_;
    std::vector<AlignedArray<T>> dense_inputs_, dense_gradients_;
    std::vector<Task> tasks_;
    std::vector<double> squares_, loss_;
    std::vector<int64_t> correct_;
    // Of the step under way; written only where all threads meet.
    int64_t step_ = 0, begin_ = 0, end_ = 0, step_blocks_ = 0, step_slices_ = 0;
    double weight_sum_ = 0.0;
    UpdateRule rule_{};
    bool finished_ = false;
    std::atomic<int64_t> next_slice_{0}, next_task_{0}, next_chunk_{0};
    TrainingResult result_;
};

}  // namespace

template <class T>
TrainingResult run_training(const Plan<T>& plan, T* weights, T* gradient,
                            const Source<T>& source, const Training<T>& training,
                            Arenas<T>& arenas, int threads,
                            const Interrupted& interrupted) {
    return Trainer<T>(plan, weights, gradient, source, training, arenas, threads,
                      interrupted)
        .run(threads);
}

template <class T>
int64_t inference_bytes(const Plan<T>& plan, int64_t images, int threads) {
    return std::clamp<int64_t>(blocks_of(images), 1, threads) *
           plan.arena_bytes(Purpose::inference);
}

template <class T>
int64_t training_bytes(const Plan<T>& plan, int64_t batch, int threads) {
    const int64_t blocks = blocks_of(batch);
    int64_t numbers = slices_of(blocks) * padded(plan.conv_count());
    int64_t arenas = threads, moments = 0;
    for (const Step& s : plan.steps()) {
        if (s.kind == Kind::dense)
            numbers += blocks * kLanes * (padded(s.in.count()) + padded(s.out.C));
        if (s.kind == Kind::batch_norm) {
            arenas = blocks;
            moments += blocks * 2 * s.in.C;
        }
    }
    return arenas * plan.arena_bytes(Purpose::gradient) + numbers * int64_t(sizeof(T)) +
           moments * int64_t(sizeof(double));
}

#define STRIATE_INSTANTIATE(T)                                                         \
    template bool run_forward(const Plan<T>&, const T*, const Source<T>&,              \
                              const std::vector<Wanted<T>>&, int, const Interrupted&); \
    template bool run_input_gradient(const Plan<T>&, const T*, const Source<T>&,       \
                                     const InputGradient<T>&, int,                     \
                                     const Interrupted&);                              \
    template TrainingResult run_training(const Plan<T>&, T*, T*, const Source<T>&,     \
                                         const Training<T>&, Arenas<T>&, int,          \
                                         const Interrupted&);                          \
    template int64_t inference_bytes(const Plan<T>&, int64_t, int);                    \
    template int64_t training_bytes(const Plan<T>&, int64_t, int);
STRIATE_INSTANTIATE(float)
STRIATE_INSTANTIATE(double)
#undef STRIATE_INSTANTIATE

}  // namespace striate
