#include "fastcbir/core/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#ifdef __linux__
#include <sched.h>
#endif

namespace fastcbir {
namespace {

constexpr auto tick_interval = std::chrono::milliseconds(50);

std::size_t allowed_cores() {
#ifdef __linux__
  // A container or taskset may allow fewer cores than the machine has.
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return static_cast<std::size_t>(CPU_COUNT(&set));
#endif
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace

std::size_t resolve_threads(std::size_t threads) { return threads == 0 ? allowed_cores() : threads; }

ParallelOutcome run_parallel(std::size_t count, std::size_t grain, std::size_t threads, Monitor* monitor,
                             const std::function<void(std::size_t, std::size_t, std::size_t)>& body) {
  grain = std::max<std::size_t>(grain, 1);
  threads = std::clamp<std::size_t>((count + grain - 1) / grain, 1, resolve_threads(threads));

  std::atomic<std::size_t> next{0};
  std::atomic<bool> stopped{false};
  std::mutex mutex;
  ParallelOutcome outcome;
  outcome.completed = count;

  const auto fail = [&](std::size_t at) {
    const std::lock_guard lock(mutex);
    if (!outcome.error) outcome.error = std::current_exception();
    outcome.completed = std::min(outcome.completed, at);
    stopped.store(true);
  };
  const auto claim = [&](std::size_t& begin, std::size_t& end) {
    if (stopped.load()) return false;
    begin = next.fetch_add(grain);
    end = std::min(begin + grain, count);
    return begin < count;
  };

  std::vector<std::thread> helpers;
  helpers.reserve(threads - 1);
  const auto work = [&](std::size_t worker) {
    for (std::size_t begin, end; claim(begin, end);) {
      try {
        body(worker, begin, end);
      } catch (...) {
        fail(begin);
      }
    }
  };
  try {
    for (std::size_t worker = 1; worker < threads; ++worker) helpers.emplace_back(work, worker);
  } catch (const std::system_error&) {
    // The system grants no more threads: those there are do the work.
  }
  auto last_tick = std::chrono::steady_clock::now();
  for (std::size_t begin, end; claim(begin, end);) {
    try {
      body(0, begin, end);
      if (monitor != nullptr) {
        if (const auto now = std::chrono::steady_clock::now(); now - last_tick >= tick_interval) {
          last_tick = now;
          try {
            monitor->tick(std::min(next.load(), count), count);
          } catch (...) {
            fail(count);  // no slice was lost: the bound comes from what was handed out
          }
        }
      }
    } catch (...) {
      fail(begin);
    }
  }
  for (std::thread& helper : helpers) helper.join();
  if (outcome.error) outcome.completed = std::min(outcome.completed, std::min(next.load(), count));
  return outcome;
}

}  // namespace fastcbir
