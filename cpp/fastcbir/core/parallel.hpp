// Running the items of a loop on several threads. Floor 0.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>

#include "fastcbir/core/monitor.hpp"

namespace fastcbir {

// 0 means all the cores this process may use.
std::size_t resolve_threads(std::size_t threads);

struct ParallelOutcome {
  std::size_t completed = 0;           // items [0, completed) have run; none after them has
  std::exception_ptr error = nullptr;  // what the body or the monitor threw first
};

// Runs body(worker, begin, end) over [0, count) in slices of `grain`, handed out in order; worker < threads. The calling
// thread is worker 0 and the only one to call the monitor. If something throws, slices already handed out are finished
// first: `completed` counts a true prefix, but for a slice whose own body threw.
ParallelOutcome run_parallel(std::size_t count, std::size_t grain, std::size_t threads, Monitor* monitor,
                             const std::function<void(std::size_t, std::size_t, std::size_t)>& body);

// The same, but rethrows. A single slice runs at once: one query must not pay for what many need.
template <class Body>
void parallel_for(std::size_t count, std::size_t grain, std::size_t threads, Monitor* monitor, Body&& body) {
  if (count <= grain) {
    if (count > 0) body(std::size_t{0}, std::size_t{0}, count);
    return;
  }
  if (const ParallelOutcome outcome = run_parallel(count, grain, threads, monitor, std::ref(body)); outcome.error) {
    std::rethrow_exception(outcome.error);
  }
}

}  // namespace fastcbir
