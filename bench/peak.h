// The multiply-adds that one core can do: nothing but registers, by the widest
// instructions that the compiler was told of.
#pragma once

namespace peak {

#if defined(__AVX512F__)
constexpr int bytes = 64;
constexpr const char* isa = "AVX-512";
#elif defined(__FMA__)
constexpr int bytes = 32;
constexpr const char* isa = "AVX2+FMA";
#else
constexpr int bytes = 16;
constexpr const char* isa = "128-bit";
#endif
typedef float Vector __attribute__((vector_size(bytes)));

// Twelve independent chains: more than latency times units of any current core (4 x 2
// or 5 x 2), and with their two operands they fit the 16 registers of AVX2.
constexpr int chains = 12;

// Multiply-adds in turns of all chains; `id` makes those of two threads differ.
class Burst {
  public:
    explicit Burst(int id) {
        const float one = 0.5f + 0.001f * id;
        factor_ = addend_ = one - Vector{};
        // No two alike, or a compiler may drop one.
        for (int i = 0; i < chains; ++i) sums_[i] = one * (i + id) - Vector{};
    }
    // The floating-point operations it does, two a multiply-add.
    double operator()(long turns) {
        Vector a[chains];
        const Vector factor = factor_, addend = addend_;
        for (int i = 0; i < chains; ++i) a[i] = sums_[i];
        for (long turn = 0; turn < turns; ++turn) {
#pragma GCC unroll 12
            for (int i = 0; i < chains; ++i) a[i] = a[i] * factor + addend;
        }
        for (int i = 0; i < chains; ++i) sums_[i] = a[i];
        return 2.0 * turns * chains * (bytes / 4);
    }
    ~Burst() {
        volatile float used = 0;
        for (const Vector& sum : sums_) used = used + sum[0];
    }

  private:
    Vector factor_, addend_, sums_[chains];
};

}  // namespace peak
