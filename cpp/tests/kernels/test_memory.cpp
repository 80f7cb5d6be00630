// No kernel reads beyond the padding or writes beside its output: rows, queries and outputs lie against unreadable pages.
#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#include <unistd.h>

#include "doctest/doctest.h"
#include "reference.hpp"

namespace fastcbir::test {
namespace {

// Readable pages between two that are not. from_end(n) are the last n bytes before the fence, front() the first after it.
class FencedPages {
 public:
  explicit FencedPages(std::size_t bytes) {
    page_ = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    inside_ = round_up(bytes, page_);
    void* mapped = mmap(nullptr, inside_ + 2 * page_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(mapped != MAP_FAILED);
    start_ = static_cast<std::byte*>(mapped);
    REQUIRE(mprotect(start_ + page_, inside_, PROT_READ | PROT_WRITE) == 0);
  }
  FencedPages(const FencedPages&) = delete;
  FencedPages& operator=(const FencedPages&) = delete;
  ~FencedPages() { munmap(start_, inside_ + 2 * page_); }

  std::byte* front() { return start_ + page_; }
  std::byte* from_end(std::size_t bytes) { return start_ + page_ + inside_ - bytes; }

 private:
  std::size_t page_, inside_;
  std::byte* start_;
};

constexpr std::size_t row_count = 11;
constexpr std::size_t query_count = 5;

void run_all(const DistanceKernels& kernels, const std::byte* queries, std::size_t query_bytes, const std::byte* rows,
             std::size_t row_bytes, std::size_t dim, FencedPages& output) {
  const auto out = [&](std::size_t count) { return reinterpret_cast<float*>(output.from_end(count * sizeof(float))); };
  const void* last[8];
  for (std::size_t i = 0; i < 8; ++i) last[i] = rows + (row_count - 1 - i % 2) * row_bytes;
  *out(1) = kernels.one(queries + (query_count - 1) * query_bytes, last[0], dim);
  kernels.gather4(queries + (query_count - 1) * query_bytes, last, dim, out(4));
  kernels.gather8(queries + (query_count - 1) * query_bytes, last, dim, out(8));
  for (std::size_t count = 1; count <= row_count; ++count) {
    kernels.block(queries, rows + (row_count - count) * row_bytes, row_bytes, count, dim, out(count));
  }
  kernels.tile(queries, query_bytes, query_count, rows, row_bytes, row_count, dim, out(query_count * row_count),
               row_count);
}

}  // namespace

TEST_CASE("kernels stay within padded rows, queries and their output") {
  FencedPages row_pages(row_count * 1280 * 4), query_pages(query_count * 1280 * 4), output(query_count * row_count * 4);
  for (const KernelTable* table : tables_under_test()) {
    for (ScalarType type : all_types) {
      for (Metric metric : all_metrics) {
        for (std::size_t dim : {1, 31, 64, 100, 223, 1280}) {
          const std::string at =
              std::string(table->name) + " " + name_of(type) + " " + name_of(metric) + " dim " + std::to_string(dim);
          CAPTURE(at);
          const DistanceKernels& kernels = distance_kernels(*table, type, metric);
          const std::size_t padded = padded_dim(type, dim);
          const std::size_t row_bytes = padded * bytes_of(type), query_bytes = padded * query_bytes_of(type);
          run_all(kernels, query_pages.from_end(query_count * query_bytes), query_bytes,
                  row_pages.from_end(row_count * row_bytes), row_bytes, dim, output);
          run_all(kernels, query_pages.front(), query_bytes, row_pages.front(), row_bytes, dim, output);
        }
      }
    }
  }
}

TEST_CASE("conversions touch exactly `count` numbers, aligned or not") {
  FencedPages floats(4096), halves(4096);
  for (const KernelTable* table : tables_under_test()) {
    CAPTURE(table->name);
    for (std::size_t count = 0; count <= 67; ++count) {
      auto* from = reinterpret_cast<float*>(floats.from_end(count * 4));
      auto* to = reinterpret_cast<std::uint16_t*>(halves.from_end(count * 2));
      for (std::size_t i = 0; i < count; ++i) from[i] = static_cast<float>(i) - 30.5f;
      if (count < 67) to[-1] = 0x1234;
      table->f32_to_f16(from, to, count);
      for (std::size_t i = 0; i < count; ++i) REQUIRE(value_of_half(to[i]) == from[i]);
      if (count < 67) REQUIRE(to[-1] == 0x1234);
      std::memset(from, 0, count * 4);
      from[-1] = 7.0f;
      table->f16_to_f32(to, from, count);
      for (std::size_t i = 0; i < count; ++i) REQUIRE(from[i] == static_cast<float>(i) - 30.5f);
      REQUIRE(from[-1] == 7.0f);
    }
  }
}

}  // namespace fastcbir::test
#endif
