#include "train.h"

#include <cmath>
#include <deque>

#include "batch.h"
#include "threads.h"

namespace striate {

namespace {

// The batch alone decides into how many slices it is cut: enough to keep eight threads
// busy, few enough that adding their gradients stays cheap.
int64_t slices_of(int64_t blocks) { return std::min<int64_t>(blocks, kSlices); }

// Weights of one update, or of one sum over slices, that a thread claims at a time.
constexpr int64_t kChunk = 4096;

// The convolutions of a step of one image take as long as so many lanes would.
constexpr int kLoneLanes = 2;

// Values of scratch that a thread needs.
template <class T>
int64_t scratch_of(const Plan<T>& plan, int64_t batch) {
    return batch == 1 ? plan.lone_count() : plan.scratch_count();
}

// Everything a training run shares between its threads, and the phases of a step: the
// batch through the legs of the training program, which is a single one up and down the
// network where nothing is split or, by batch_norm, merged between; gradients summed,
// slice by slice for convolutions and row by row for dense layers; the update.
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
          batch_(std::min(training.batch, training.images)),
          kernels_(plan.kernels().of(batch_)),
          lanes_(kernels_.lanes),
          blocks_(blocks_of(batch_, lanes_)),
          slices_(slices_of(blocks_)),
          threads_(threads),
          norms_(plan, blocks_, lanes_),
          whole_(legs_of(plan.training(), false, threads, lanes_)),
          split_(legs_of(plan.training(), true, threads,
                         batch_ == 1 ? kLoneLanes : lanes_)) {
        const auto& steps = plan.steps();
        // A thread keeps a block only where nothing interrupts its way.
        const bool kept = normalizes() || splits(blocks_, threads);
        if (!arenas_.empty() && arenas_[0].lanes != lanes_) arenas_.clear();
        while (arenas_.size() < size_t(kept ? blocks_ : threads))
            arenas_.push_back(plan.make_arena(plan.training(), lanes_));
        for (int t = 0; t < threads; ++t)
            scratch_.push_back(allocate<T>(scratch_of(plan, batch_)));
        if (training.augmentation)
            for (int t = 0; t < threads; ++t)
                augmenters_.emplace_back(*training.augmentation, training.dropout.seed,
                                         training.dropout.epoch, source,
                                         training.sample_weights, kernels_);
        mixing_.resize(augmenters_.empty() ? 0 : size_t(blocks_));
        slice_gradients_ = allocate<T>(slices_ * conv_stride());
        for (int64_t s = 0; s < slices_; ++s)
            slice_parts_.push_back(slice_gradients_.get() + s * conv_stride());
        loss_.resize(size_t(blocks_));
        correct_.resize(size_t(blocks_));
        dense_inputs_.resize(steps.size());
        dense_gradients_.resize(steps.size());
        block_inputs_.resize(size_t(blocks_) * steps.size());
        block_gradients_.resize(block_inputs_.size());
        for (size_t i = 0; i < steps.size(); ++i) add_sums(i);
        squares_.resize(sums_.size());
    }

    TrainingResult run(int threads) {
        start_step();
        Phases phases(tasks_of_phase());
        run_team(threads, [&](int thread) {
            const FlushDenormals flush;
            phases.work([&](int64_t i) { do_task(i, thread); },
                        [&] { return next_phase(); }, [&] { watch_.go_on(thread); });
        });
        // Heeded even where the last step was done meanwhile: the caller is owed it.
        if (watch_.stopped()) result_.ending = Ending::interrupted;
        return std::move(result_);
    }

  private:
    // A task of the second phase: the sum over slices of a range of a convolution's
    // gradient, or rows of a dense layer's.
    struct Sum {
        size_t step;
        int64_t first, last;
    };

    int64_t trainable_count() const { return plan_.trainable_count(); }
    bool normalizes() const { return !norms_.steps().empty(); }
    int64_t conv_stride() const {
        return padded(std::max<int64_t>(plan_.conv_count(), 1));
    }

    // Phases count from the first leg; after the legs come these two.
    size_t summing() const { return legs_->size(); }
    size_t updating() const { return legs_->size() + 1; }

    int64_t tasks_of_phase() const {
        if (phase_ == summing()) return int64_t(sums_.size());
        if (phase_ == updating()) return (trainable_count() + kChunk - 1) / kChunk;
        return step_slices_ * (*legs_)[phase_].parts;
    }

    void do_task(int64_t i, int thread) {
        if (phase_ == summing()) {
            squares_[size_t(i)] = do_sum(sums_[size_t(i)]);
        } else if (phase_ == updating()) {
            do_update(i * kChunk);
        } else {
            const Leg& leg = (*legs_)[phase_];
            do_slice(i / leg.parts, i % leg.parts, thread, leg);
        }
    }

    // What one thread does alone after the phase; the number of the next one's tasks.
    int64_t next_phase() {
        if (phase_ == summing()) {
            finish_gradients();
        } else if (phase_ == updating()) {
            finish_step();
        } else {
            finish_leg((*legs_)[phase_]);
        }
        if (finished_) return Phases::kEnd;
        phase_ = step_begins_ ? 0 : phase_ + 1;
        step_begins_ = false;
        return tasks_of_phase();
    }

    void add_sums(size_t index) {
        const Step& s = plan_.steps()[index];
        if (s.kind == Kind::dense) {
            dense_inputs_[index] = allocate<T>(blocks_ * lanes_ * padded(s.in.count()));
            dense_gradients_[index] = allocate<T>(blocks_ * lanes_ * padded(s.out.C));
            // Columns beyond the layer's stay zero for good.
            std::fill_n(dense_inputs_[index].get(),
                        blocks_ * lanes_ * padded(s.in.count()), T(0));
            std::fill_n(dense_gradients_[index].get(),
                        blocks_ * lanes_ * padded(s.out.C), T(0));
            for (int64_t b = 0; b < blocks_; ++b) {
                const size_t at = size_t(b) * plan_.steps().size() + index;
                block_inputs_[at] =
                    dense_inputs_[index].get() + b * lanes_ * padded(s.in.count());
                block_gradients_[at] =
                    dense_gradients_[index].get() + b * lanes_ * padded(s.out.C);
            }
            for (int64_t row = 0; row < s.out.C; row += 12)
                sums_.push_back({index, row, std::min(row + 12, s.out.C)});
        } else if (s.kind == Kind::conv) {
            const bool last = index + 1 == plan_.steps().size();
            const int64_t end =
                last ? plan_.conv_count() : plan_.conv_offset(index + 1);
            const int64_t count = end - plan_.conv_offset(index);
            for (int64_t at = 0; at < count; at += kChunk)
                sums_.push_back({index, at, std::min(at + kChunk, count)});
        } else if (s.kind == Kind::batch_norm) {
            sums_.push_back({index, 0, s.in.C});
        }
    }

    void start_step() {
        begin_ = (training_.first_step + step_) * training_.batch;
        end_ = std::min(begin_ + training_.batch, training_.images);
        step_blocks_ = blocks_of(end_ - begin_, lanes_);
        step_slices_ = slices_of(step_blocks_);
        const bool split =
            splits(step_blocks_, threads_) && step_blocks_ <= int64_t(arenas_.size());
        legs_ = split ? &split_ : &whole_;
        kept_ = split || normalizes();
        weight_sum_ = double(end_ - begin_);
        if (training_.sample_weights) {
            weight_sum_ = 0.0;
            for (int64_t i = begin_; i < end_; ++i)
                weight_sum_ += double(training_.sample_weights[training_.order[i]]);
            // A batch of weightless images has loss and gradient 0, not 0 / 0.
            if (weight_sum_ == 0.0) weight_sum_ = 1.0;
        }
    }

    // Dropout and batch_norm are in training, or the network is as it predicts.
    const BatchStatistics<T>* batch() const {
        return training_.dropout.active && normalizes() ? &norms_.statistics()
                                                        : nullptr;
    }

    // A part of each of the slice's blocks through a leg.
    void do_slice(int64_t slice, int64_t part, int thread, const Leg& leg) {
        T* conv = slice_parts_[size_t(slice)];
        const bool starts = &leg == legs_->data() && part == 0;
        if (starts) std::fill_n(conv, plan_.conv_count(), T(0));
        const int64_t first = slice * step_blocks_ / step_slices_;
        const int64_t last = (slice + 1) * step_blocks_ / step_slices_;
        for (int64_t b = first; b < last; ++b) {
            const size_t row = size_t(b) * plan_.steps().size();
            const Passage<T> passage{
                plan_.training(),
                kernels_,
                weights_,
                nullptr,
                block_at(training_.order, begin_ + b * lanes_, end_, lanes_),
                training_.dropout,
                batch(),
                arenas_[size_t(kept_ ? b : thread)],
                scratch_[size_t(thread)].get(),
                {conv, block_inputs_.data() + row, block_gradients_.data() + row,
                 batch_ == 1}};
            const auto other = [&](const Action& action, const Range& range) {
                do_action(action, range, b, thread, passage);
            };
            for (size_t c = leg.first; c < leg.last; ++c) {
                if (!watch_.go_on(thread)) return;
                plan_.carry(passage, plan_.training().chains[c], part, leg.parts,
                            other);
            }
        }
    }

    void do_action(const Action& action, const Range& range, int64_t b, int thread,
                   const Passage<T>& passage) {
        switch (action.act) {
            case Act::load:
                load(b, thread, passage);
                break;
            case Act::loss:
                take_loss(b, passage);
                break;
            case Act::measure:
                if (batch()) norms_.measure(passage, action.step, b, range);
                break;
            default:
                norms_.measure_gradient(passage, action.step, b, range);
        }
    }

    void load(int64_t b, int thread, const Passage<T>& passage) {
        if (training_.augmentation) {
            augmenters_[size_t(thread)].load(
                passage.block.row, plan_.output(-1, passage), mixing_[size_t(b)]);
        } else {
            plan_.load(source_, passage);
        }
    }

    // The block's loss and hits; leaves the gradient of the last step's output.
    void take_loss(int64_t b, const Passage<T>& passage) {
        const Block& block = passage.block;
        const size_t last = plan_.steps().size() - 1;
        int32_t labels[kMostLanes], partners[kMostLanes], correct[kMostLanes];
        alignas(64) T shares[kMostLanes];
        double loss[kMostLanes];
        const bool mixed = training_.augmentation && training_.augmentation->mixes();
        const Mixing<T>* mixing = mixed ? &mixing_[size_t(b)] : nullptr;
        for (int l = 0; l < lanes_; ++l) {
            const bool real = l < block.real;
            if (mixing) partners[l] = training_.labels[mixing->partner[l]];
            labels[l] = real ? training_.labels[block.row[l]] : -1;
            const double weight = training_.sample_weights
                                      ? double(training_.sample_weights[block.row[l]])
                                      : 1.0;
            shares[l] = real ? T(weight / weight_sum_) : T(0);
        }
        kernels_.softmax_cross_entropy(
            plan_.steps()[last].out.C, plan_.output(int64_t(last), passage), labels,
            mixing ? partners : nullptr, mixing ? mixing->share : nullptr, shares,
            training_.label_smoothing, plan_.gradient(int64_t(last), passage), loss,
            correct);
        loss_[size_t(b)] = 0.0;
        correct_[size_t(b)] = 0;
        for (int l = 0; l < block.real; ++l) {
            loss_[size_t(b)] += loss[l] * double(shares[l]);
            correct_[size_t(b)] += correct[l];
        }
    }

    void finish_leg(const Leg& leg) {
        if (watch_.stopped()) return finish(Ending::interrupted);
        const Program& program = plan_.training();
        const Action& last = program.actions[program.chains[leg.last - 1].last - 1];
        if (last.act == Act::measure_gradient)
            norms_.merge_gradients(last.step, end_ - begin_, gradient_);
        if (last.act == Act::measure && batch()) norms_.merge(last.step, end_ - begin_);
        if (leg.last == program.chains.size()) finish_slices();
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

    double do_sum(const Sum& sum) {
        const Step& s = plan_.steps()[sum.step];
        if (s.kind == Kind::conv) {
            std::vector<const T*> parts;
            for (int64_t i = 0; i < step_slices_; ++i)
                parts.push_back(slice_parts_[size_t(i)] + plan_.conv_offset(sum.step) +
                                sum.first);
            return kernels_.sum_slices(sum.last - sum.first, step_slices_, parts.data(),
                                       gradient_ + s.weight + sum.first);
        }
        const auto squares = kernels_.sum_squares;
        T* dw = gradient_ + s.weight;
        T* db = s.bias >= 0 ? gradient_ + s.bias : nullptr;
        if (s.kind == Kind::batch_norm)  // merged between two legs already
            return squares(sum.last, dw) + squares(sum.last, db);
        const int64_t D = s.in.count(), rows = sum.last - sum.first;
        kernels_.dense_weight_gradient(
            end_ - begin_, D, sum.first, sum.last, dense_inputs_[sum.step].get(),
            padded(D), dense_gradients_[sum.step].get(), padded(s.out.C), dw, db);
        return squares(rows * D, dw + sum.first * D) +
               (db ? squares(rows, db + sum.first) : 0.0);
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
        kernels_.update(rule_, count, weights_ + first, gradient_ + first,
                        training_.state0 ? training_.state0 + first : nullptr,
                        training_.state1 ? training_.state1 + first : nullptr);
        take_average(first, count);
    }

    void take_average(int64_t first, int64_t count) {
        if (training_.average)
            kernels_.average(1.0 - training_.average_decay, count, weights_ + first,
                             training_.average + first);
    }

    void finish_step() {
        norms_.update_running(end_ - begin_, weights_);
        take_average(trainable_count(), plan_.weight_count() - trainable_count());
        if (++step_ == training_.steps) return finish(Ending::done);
        start_step();
        step_begins_ = true;
    }

    void finish(Ending ending) {
        result_.ending = ending;
        finished_ = true;
    }

    const Plan<T>& plan_;
    T *weights_, *gradient_;
    const Source<T>& source_;
    const Training<T>& training_;
    Arenas<T>& arenas_;  // of each block where it is kept between legs, or thread
    std::vector<AlignedArray<T>> scratch_;  // of each thread
    Watch watch_;
    const int64_t batch_;        // images of a full one
    const Kernels<T>& kernels_;  // by the batch
    const int lanes_;
    const int64_t blocks_, slices_;        // of a full batch
    std::deque<Augmenter<T>> augmenters_;  // one a thread, or none
    std::vector<Mixing<T>> mixing_;        // of each block
    const int threads_;
    BatchNorms<T> norms_;
    const std::vector<Leg> whole_, split_;
    AlignedArray<T> slice_gradients_;
    std::vector<T*> slice_parts_;
    std::vector<AlignedArray<T>> dense_inputs_, dense_gradients_;
    std::vector<T*> block_inputs_, block_gradients_;  // rows of block b at [b][step]
    std::vector<Sum> sums_;
    std::vector<double> squares_, loss_;
    std::vector<int64_t> correct_;
    // Of the step under way; written only between phases.
    int64_t step_ = 0, begin_ = 0, end_ = 0, step_blocks_ = 0, step_slices_ = 0;
    double weight_sum_ = 0.0;
    UpdateRule rule_{};
    const std::vector<Leg>* legs_ = nullptr;
    bool kept_ = false;  // whether each block has an arena of its own
    size_t phase_ = 0;
    bool step_begins_ = false, finished_ = false;
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
int64_t training_bytes(const Plan<T>& plan, int64_t batch, int threads) {
    const int lanes = plan.kernels().of(batch).lanes;
    const int64_t blocks = blocks_of(batch, lanes);
    int64_t numbers = slices_of(blocks) * padded(plan.conv_count()) +
                      threads * scratch_of(plan, batch);
    int64_t arenas = splits(blocks, threads) ? blocks : threads, moments = 0;
    for (const Step& s : plan.steps()) {
        if (s.kind == Kind::dense)
            numbers += blocks * lanes * (padded(s.in.count()) + padded(s.out.C));
        if (s.kind == Kind::batch_norm) {
            arenas = blocks;
            moments += blocks * 2 * s.in.C;
        }
    }
    return arenas * plan.arena_bytes(plan.training(), lanes) +
           numbers * int64_t(sizeof(T)) + moments * int64_t(sizeof(double));
}

#define STRIATE_INSTANTIATE(T)                                                     \
    template TrainingResult run_training(const Plan<T>&, T*, T*, const Source<T>&, \
                                         const Training<T>&, Arenas<T>&, int,      \
                                         const Interrupted&);                      \
    template int64_t training_bytes(const Plan<T>&, int64_t, int);
STRIATE_INSTANTIATE(float)
STRIATE_INSTANTIATE(double)
#undef STRIATE_INSTANTIATE

}  // namespace striate
