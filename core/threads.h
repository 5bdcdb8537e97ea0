// A team of threads for the length of one call, and where they meet.
//
// Threads are started for a call and end with it: thirty microseconds each, against
// calls of a tenth of a second. Nothing outlives the call, so fork, two networks at
// once and process pools need no care at all.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace striate {

// Where all threads of a team meet; the last to come does `finish` while they wait.
// Waiting spins for some ten microseconds, then sleeps: a spinning thread would take
// the core from the one it waits for when the machine is busy.
class Meeting {
  public:
    explicit Meeting(int threads) : threads_(threads), missing_(threads) {}

    template <class Finish>
    void wait(Finish finish) {
        const uint32_t round = round_.load(std::memory_order_acquire);
        if (missing_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            finish();
            missing_.store(threads_, std::memory_order_relaxed);
            round_.store(round + 1, std::memory_order_release);
            round_.notify_all();
            return;
        }
        for (int spin = 0; spin < 2000; ++spin) {
            if (round_.load(std::memory_order_acquire) != round) return;
#if defined(__x86_64__)
            _mm_pause();
#endif
        }
        while (round_.load(std::memory_order_acquire) == round)
            round_.wait(round, std::memory_order_acquire);
    }

  private:
    const int threads_;
    std::atomic<int> missing_;
    std::atomic<uint32_t> round_{0};
};

// Runs body(0, meeting) here and body(1, meeting) ... beside it, on as many of the
// `threads` as the system grants. body must not throw.
inline void run_team(int threads, const std::function<void(int, Meeting&)>& body) {
    std::atomic<Meeting*> gate{nullptr};
    std::vector<std::jthread> helpers;
    try {
        for (int i = 1; i < threads; ++i) {
            helpers.emplace_back([&body, &gate, i] {
                gate.wait(nullptr);
                body(i, *gate.load());
            });
        }
    } catch (const std::system_error&) {
        // No more threads to be had: those there are do the work, with the same result.
    }
    Meeting meeting(int(helpers.size()) + 1);
    gate.store(&meeting);
    gate.notify_all();
    body(0, meeting);
    for (std::jthread& helper : helpers) helper.join();
}

// Denormal numbers cost a hundred cycles each: flush them while computing, alike on
// every thread, and give the caller's mode back afterwards.
class FlushDenormals {
  public:
#if defined(__x86_64__)
    FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040u); }
    ~FlushDenormals() { _mm_setcsr(before_); }

  private:
    unsigned before_;
#elif defined(__aarch64__)
    FlushDenormals() {
        asm volatile("mrs %0, fpcr" : "=r"(before_));
        asm volatile("msr fpcr, %0" ::"r"(before_ | uint64_t(1) << 24));
    }
    ~FlushDenormals() { asm volatile("msr fpcr, %0" ::"r"(before_)); }

  private:
    uint64_t before_;
#endif
  public:
    FlushDenormals(const FlushDenormals&) = delete;
    FlushDenormals& operator=(const FlushDenormals&) = delete;
};

// The processors this process may use: affinity and cgroup limits counted.
int usable_processors();

}  // namespace striate
