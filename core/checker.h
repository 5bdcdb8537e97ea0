// What the checks of the kernels share: random arrays between guard bands, bounds, and
// the comparison with the reference.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "dispatch.h"
#include "plan.h"
#include "random.h"

namespace striate {

// One sum of K float products, in any order, is off by at most this much of the sum of
// its terms' magnitudes times the square root of K; the same bound is what the tables
// of two instruction sets may differ by (ARCHITECTURE.md, rule 3).
constexpr double kUnit = 4.0 / 16777216.0;
// Elementary functions are off by a few units in the last place of their result.
constexpr double kFunction = 8.0 / 16777216.0;
constexpr float kGuard = -12345.5f;
constexpr int64_t kBand = 64;

class Sampler {
  public:
    Sampler(uint64_t seed, uint64_t stream) : seed_(seed), stream_(stream) {}
    int64_t between(int64_t low, int64_t high) {
        return low + int64_t(random_bits(seed_, stream_, position_++) %
                             uint64_t(high - low + 1));
    }
    double uniform() {
        return double(random_bits(seed_, stream_, position_++) >> 11) * 0x1p-52 - 1.0;
    }

  private:
    uint64_t seed_, stream_, position_ = 0;
};

// An array between two guard bands that no kernel may touch; `room` values behind it
// may be.
template <class T>
class Guarded {
  public:
    explicit Guarded(int64_t count, T value = T(0), int64_t room = 0)
        : count_(count), room_(room), data_(allocate<T>(count + room + 2 * kBand)) {
        for (int64_t i = 0; i < count + room + 2 * kBand; ++i) data_[i] = T(kGuard);
        for (int64_t i = 0; i < count; ++i) (*this)[i] = value;
    }
    Guarded(int64_t count, Sampler& sample, int64_t room = 0)
        : Guarded(count, T(0), room) {
        for (int64_t i = 0; i < count; ++i) (*this)[i] = T(sample.uniform());
    }
    Guarded copy() const {
        Guarded other(count_);
        std::copy(data(), data() + count_, other.data());
        return other;
    }
    T* data() { return data_.get() + kBand; }
    const T* data() const { return data_.get() + kBand; }
    T& operator[](int64_t i) { return data()[i]; }
    const T& operator[](int64_t i) const { return data()[i]; }
    int64_t count() const { return count_; }
    bool intact() const {
        for (int64_t i = 0; i < kBand; ++i)
            if (data_[i] != T(kGuard) || data_[count_ + room_ + kBand + i] != T(kGuard))
                return false;
        return true;
    }

  private:
    int64_t count_, room_;
    AlignedArray<T> data_;
};
using Floats = Guarded<float>;
using Doubles = Guarded<double>;

Doubles widen(const Floats& values, bool magnitudes = false);

inline double dot(const Doubles& a, const Doubles& b) {
    double sum = 0.0;
    for (int64_t i = 0; i < a.count(); ++i) sum += a[i] * b[i];
    return sum;
}

// Any convolution, strides, dilation and groups included, and any pooling.
ConvShape sample_conv(Sampler& sample);
std::string named(const ConvShape& s);
PoolShape sample_pool(Sampler& sample);
// relu, leaky_relu, or null for neither.
const ActivationRule* sample_rectifier(Sampler& sample);

// Compares one table of kernels with the reference, case by case. The cases are drawn
// from a seed; what is wrong is gathered in words.
class Checker {
  public:
    Checker(const Kernels<float>& table, uint64_t seed) : fast_(table), seed_(seed) {}
    void run(int cases);
    std::vector<std::string> failures;

  private:
    void convolution(Sampler& sample);
    void winograd(Sampler& sample);
    template <size_t K>
    void winograd(Sampler& sample);
    void pooling(Sampler& sample);
    void dense(Sampler& sample);
    void single_convolution(Sampler& sample);
    void single_dense(Sampler& sample);
    void lone_convolution(Sampler& sample);
    void single_pooling(Sampler& sample);
    void single_normalization(Sampler& sample);
    void normalization(Sampler& sample);
    void activations(Sampler& sample);
    void loss(Sampler& sample);
    void optimizers(Sampler& sample);
    void input(Sampler& sample);
    void augmentation(Sampler& sample);

    void fail(const std::string& what);
    // |got - wanted| within bound[i] for every value, and the guards around intact.
    void compare(const std::string& what, const Floats& got, const Doubles& wanted,
                 const std::function<double(int64_t)>& bound);
    // For sums of `terms` products, whose magnitudes add up to magnitude[i].
    void compare_sums(const std::string& what, const Floats& got, const Doubles& wanted,
                      const Doubles& magnitude, int64_t terms);
    // Computed by ranges of channels and all at once.
    void compare_bits(const std::string& what, const Floats& parts,
                      const Floats& whole);
    // <Ax, y> = <x, A'y>: what makes a backward pass the backward pass.
    void adjoint(const std::string& what, double one, double other, double magnitude);

    const Kernels<float>& fast_;
    const int64_t lanes_ = fast_.lanes;
    const Kernels<double>& wide_ = reference_kernels<double>().of(lanes_);
    uint64_t seed_;
    int case_ = 0;
};

}  // namespace striate
