// A team of threads for the length of one call, and how they share its work.
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

// Phases of tasks that the threads of a team claim as they come. Whoever finishes the
// last task of a phase does what follows it alone and opens the next one; a thread that
// the system has put aside meanwhile is not waited for, unless it holds a task.
class Phases {
  public:
    static constexpr int64_t kEnd = -1;

    // How many tasks the first phase has: at least one.
    explicit Phases(int64_t tasks) { open(tasks); }

    // Claims tasks until the end; each thread of the team calls it. task(i) is called
    // once for each i of a phase; next(), when all of them are done, returns how many
    // tasks the next phase has (none: it is passed over), or kEnd; waited(), whenever
    // the thread has waited for a phase, even one whose tasks others were faster to
    // claim.
    template <class Task, class Next, class Waited>
    void work(const Task& task, const Next& next, const Waited& waited) {
        for (uint64_t ticket; (ticket = claim(waited)) != kClosed;) {
            task(count_ - left(ticket));
            if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) > 1) continue;
            int64_t tasks;
            while ((tasks = next()) == 0) {
            }
            open(tasks);
        }
    }

  private:
    // A ticket is the number of the phase, above the tasks left to claim, so that a
    // claim holds only for the phase that it was drawn in.
    static constexpr uint64_t kClosed = ~uint64_t(0);
    static uint32_t phase(uint64_t ticket) { return uint32_t(ticket >> 32); }
    static int64_t left(uint64_t ticket) { return int64_t(uint32_t(ticket)); }

    void open(int64_t tasks) {
        const uint32_t number = number_.load(std::memory_order_relaxed) + 1;
        count_ = tasks;
        unfinished_.store(tasks, std::memory_order_relaxed);
        ticket_.store(
            tasks == kEnd ? kClosed : uint64_t(number) << 32 | uint64_t(tasks),
            std::memory_order_release);
        number_.store(number, std::memory_order_release);
        number_.notify_all();
    }

    // The ticket of a task of the current phase, or kClosed.
    template <class Waited>
    uint64_t claim(const Waited& waited) {
        uint64_t ticket = ticket_.load(std::memory_order_acquire);
        while (ticket != kClosed) {
            if (left(ticket) == 0) {
                ticket = wait_beyond(ticket);
                waited();
            } else if (ticket_.compare_exchange_weak(ticket, ticket - 1,
                                                     std::memory_order_acq_rel,
                                                     std::memory_order_acquire)) {
                break;
            }
        }
        return ticket;
    }

    // Waits for the phase after one whose tasks have all been claimed: spins for some
    // ten microseconds, then sleeps, since a spinning thread would take the core from
    // the one it waits for when the machine is busy.
    uint64_t wait_beyond(uint64_t seen) const {
        for (int spin = 0; spin < 2000; ++spin) {
            const uint64_t ticket = ticket_.load(std::memory_order_acquire);
            if (ticket != seen) return ticket;
#if defined(__x86_64__)
            _mm_pause();
#endif
        }
        number_.wait(phase(seen), std::memory_order_acquire);
        return ticket_.load(std::memory_order_acquire);
    }

    int64_t count_ = 0;  // tasks of the current phase; read by who holds one of them
    std::atomic<int64_t> unfinished_{0};
    std::atomic<uint64_t> ticket_{0};
    // The phase once more, as the 32 bits that the system can put a thread to sleep on.
    std::atomic<uint32_t> number_{0};
};

// Runs body(0) here and body(1), body(2) ... beside it, on as many of the `threads` as
// the system grants. body must not throw.
inline void run_team(int threads, const std::function<void(int)>& body) {
    std::vector<std::jthread> helpers;
    try {
        for (int i = 1; i < threads; ++i) helpers.emplace_back(std::cref(body), i);
    } catch (const std::system_error&) {
        // No more threads to be had: those there are do the work, with the same result.
    }
    body(0);
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
