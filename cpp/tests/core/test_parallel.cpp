#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "fastcbir/core/parallel.hpp"

using namespace fastcbir;

namespace {

struct ThrowingMonitor final : Monitor {
  std::size_t limit;
  std::vector<std::size_t> seen;
  explicit ThrowingMonitor(std::size_t at) : limit(at) {}
  void tick(std::size_t done, std::size_t) override {
    seen.push_back(done);
    if (done >= limit) throw std::runtime_error("cancelled");
  }
};

}  // namespace

TEST_CASE("every item runs once") {
  for (const std::size_t threads : {1, 2, 5}) {
    for (const std::size_t count : {0, 1, 7, 1000}) {
      for (const std::size_t grain : {1, 3, 2000}) {
        std::vector<std::atomic<int>> runs(count);
        parallel_for(count, grain, threads, nullptr, [&](std::size_t worker, std::size_t begin, std::size_t end) {
          REQUIRE(worker < threads);
          for (; begin < end; ++begin) ++runs[begin];
        });
        for (const auto& run : runs) CHECK(run == 1);
      }
    }
  }
}

TEST_CASE("a monitor that throws cancels, and what is completed is a prefix") {
  for (const std::size_t threads : {1, 3}) {
    std::vector<std::atomic<bool>> ran(100000);
    ThrowingMonitor monitor(20);
    const ParallelOutcome outcome =
        run_parallel(ran.size(), 1, threads, &monitor, [&](std::size_t, std::size_t begin, std::size_t) {
          std::this_thread::sleep_for(std::chrono::milliseconds(2));
          ran[begin] = true;
        });
    REQUIRE(outcome.error);
    CHECK_THROWS_WITH(std::rethrow_exception(outcome.error), "cancelled");
    CHECK(outcome.completed >= 20);
    CHECK(outcome.completed < ran.size());
    for (std::size_t i = 0; i < ran.size(); ++i) REQUIRE(ran[i] == (i < outcome.completed));
  }
}

TEST_CASE("an exception of the body reaches the caller") {
  CHECK_THROWS_WITH(parallel_for(100, 1, 3, nullptr,
                                 [](std::size_t, std::size_t begin, std::size_t) {
                                   if (begin == 40) throw std::runtime_error("item 40");
                                 }),
                    "item 40");
}
