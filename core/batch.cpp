#include "batch.h"

#include "blocks.h"

namespace striate {

template <class T>
BatchNorms<T>::BatchNorms(const Plan<T>& plan, int64_t blocks, int lanes)
    : plan_(plan), lanes_(lanes) {
    const std::vector<Step>& steps = plan.steps();
    parts_.resize(steps.size());
    statistics_.resize(steps.size());
    for (size_t i = 0; i < steps.size(); ++i) {
        if (steps[i].kind != Kind::batch_norm) continue;
        steps_.push_back(i);
        const size_t count = size_t(steps[i].in.C);
        parts_[i].first.resize(size_t(blocks) * count);
        parts_[i].second.resize(size_t(blocks) * count);
        BatchMoments<T>& m = statistics_[i];
        for (auto* values : {&m.mean, &m.variance, &m.mean_dw, &m.mean_db})
            values->resize(count);
    }
}

template <class T>
void BatchNorms<T>::measure(const Passage<T>& passage, size_t step, int64_t b,
                            const Range& range) {
    const int64_t at = b * plan_.steps()[step].in.C;
    plan_.measure(passage, step, range, parts_[step].first.data() + at,
                  parts_[step].second.data() + at);
}

template <class T>
void BatchNorms<T>::measure_gradient(const Passage<T>& passage, size_t step, int64_t b,
                                     const Range& range) {
    const int64_t at = b * plan_.steps()[step].in.C;
    plan_.measure_gradient(passage, step, range, parts_[step].first.data() + at,
                           parts_[step].second.data() + at);
}

// Mean and variance of the batch from those of its blocks (Chan, Golub and LeVeque,
// 1979).
template <class T>
void BatchNorms<T>::merge(size_t step, int64_t images) {
    const Step& s = plan_.steps()[step];
    const int64_t C = s.in.C, pixels = s.in.H * s.in.W;
    for (int64_t c = 0; c < C; ++c) {
        double count = 0.0, mean = 0.0, deviation = 0.0;
        for (int64_t b = 0; b < blocks_of(images, lanes_); ++b) {
            const int64_t real = std::min<int64_t>(lanes_, images - b * lanes_);
            const double more = double(real * pixels), all = count + more;
            const double off = parts_[step].first[size_t(b * C + c)] - mean;
            deviation +=
                parts_[step].second[size_t(b * C + c)] + off * off * count * more / all;
            mean += off * more / all;
            count = all;
        }
        statistics_[step].mean[size_t(c)] = T(mean);
        statistics_[step].variance[size_t(c)] = T(deviation / count);
    }
}

template <class T>
void BatchNorms<T>::merge_gradients(size_t step, int64_t images, T* gradient) {
    const Step& s = plan_.steps()[step];
    const int64_t C = s.in.C;
    const double values = double(images * s.in.H * s.in.W);
    for (int64_t c = 0; c < C; ++c) {
        double dw = 0.0, db = 0.0;
        for (int64_t b = 0; b < blocks_of(images, lanes_); ++b) {
            dw += parts_[step].first[size_t(b * C + c)];
            db += parts_[step].second[size_t(b * C + c)];
        }
        gradient[s.weight + c] = T(dw);
        gradient[s.bias + c] = T(db);
        statistics_[step].mean_dw[size_t(c)] = T(dw / values);
        statistics_[step].mean_db[size_t(c)] = T(db / values);
    }
}

// As PyTorch: the running variance takes the unbiased one.
template <class T>
void BatchNorms<T>::update_running(int64_t images, T* weights) const {
    for (size_t i : steps_) {
        const Step& s = plan_.steps()[i];
        const double values = double(images * s.in.H * s.in.W);
        const double unbiased = values / (values - 1.0);
        T* mean = weights + s.running;
        T* variance = mean + s.in.C;
        for (int64_t c = 0; c < s.in.C; ++c) {
            const double m = double(statistics_[i].mean[size_t(c)]);
            const double v = double(statistics_[i].variance[size_t(c)]) * unbiased;
            mean[c] = T(double(mean[c]) + s.value * (m - double(mean[c])));
            variance[c] = T(double(variance[c]) + s.value * (v - double(variance[c])));
        }
    }
}

template class BatchNorms<float>;
template class BatchNorms<double>;

}  // namespace striate
