// The multiply-adds this machine can do: all threads at once, nothing but registers.
// peak THREADS SECONDS prints the instruction set and GFLOP/s (two operations each).
#include "peak.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

using Clock = std::chrono::steady_clock;
constexpr long turns = 1 << 16;

int main(int count, char** words) {
    if (count != 3) return 2;
    const int threads = std::atoi(words[1]);
    const std::chrono::duration<double> span(std::atof(words[2]));
    std::vector<double> flops(threads);
    std::vector<std::thread> team;
    const auto start = Clock::now() + std::chrono::milliseconds(20);
    for (int id = 0; id < threads; ++id)
        team.emplace_back([&, id] {
            peak::Burst burst(id);
            std::this_thread::sleep_until(start);
            double operations = 0;
            const auto begin = Clock::now();
            std::chrono::duration<double> spent{};
            do {
                operations += burst(turns);
                spent = Clock::now() - begin;
            } while (spent < span);
            flops[id] = operations / spent.count();
        });
    for (auto& thread : team) thread.join();
    double total = 0;
    for (double each : flops) total += each;
    std::printf("%s %.2f\n", peak::isa, total / 1e9);
}
