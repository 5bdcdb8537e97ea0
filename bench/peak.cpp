// The multiply-adds this machine can do: all threads at once, nothing but registers.
// peak THREADS SECONDS prints the instruction set and GFLOP/s (two operations each).
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#if defined(__AVX512F__)
constexpr int bytes = 64;
const char* const isa = "AVX-512";
#elif defined(__FMA__)
constexpr int bytes = 32;
const char* const isa = "AVX2+FMA";
#else
constexpr int bytes = 16;
const char* const isa = "128-bit";
#endif
typedef float Vector __attribute__((vector_size(bytes)));
using Clock = std::chrono::steady_clock;

// Twelve independent chains: more than latency times units of any current core (4 x 2
// or 5 x 2), and with their two operands they fit the 16 registers of AVX2.
constexpr int chains = 12;
constexpr long turns = 1 << 16;

static void burst(Vector (&sums)[chains], Vector factor, Vector addend) {
    Vector a[chains];
    for (int i = 0; i < chains; ++i) a[i] = sums[i];
    for (long turn = 0; turn < turns; ++turn) {
#pragma GCC unroll 12
        for (int i = 0; i < chains; ++i) a[i] = a[i] * factor + addend;
    }
    for (int i = 0; i < chains; ++i) sums[i] = a[i];
}

int main(int count, char** words) {
    if (count != 3) return 2;
    const int threads = std::atoi(words[1]);
    const std::chrono::duration<double> span(std::atof(words[2]));
    std::vector<double> flops(threads);
    std::vector<std::thread> team;
    const auto start = Clock::now() + std::chrono::milliseconds(20);
    for (int id = 0; id < threads; ++id)
        team.emplace_back([&, id] {
            const float one = 0.5f + 0.001f * id;
            const Vector factor = one - Vector{}, addend = one - Vector{};
            Vector sums[chains];  // no two alike, or a compiler may drop one
            for (int i = 0; i < chains; ++i) sums[i] = one * (i + id) - Vector{};
            std::this_thread::sleep_until(start);
            long bursts = 0;
            const auto begin = Clock::now();
            std::chrono::duration<double> spent{};
            do {
                burst(sums, factor, addend);
                ++bursts;
                spent = Clock::now() - begin;
            } while (spent < span);
            volatile float used = 0;
            for (const Vector& sum : sums) used = used + sum[0];
            flops[id] = 2.0 * bursts * turns * chains * (bytes / 4) / spent.count();
        });
    for (auto& thread : team) thread.join();
    double total = 0;
    for (double each : flops) total += each;
    std::printf("%s %.2f\n", isa, total / 1e9);
}
