#include "fastcbir/io/advice.hpp"

#include <cstdint>

#ifndef _WIN32
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace fastcbir::io {

#ifdef _WIN32

void expect_scattered_reads(const void*, std::size_t) noexcept {}

#else

void expect_scattered_reads(const void* data, std::size_t size) noexcept {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  if (size / page < static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) / 2) return;
  // Whole pages within: what shares a page with its neighbours is left to them.
  const std::size_t before = (page - reinterpret_cast<std::uintptr_t>(data) % page) % page;
  if (size < before + page) return;
  char* begin = const_cast<char*>(static_cast<const char*>(data)) + before;
  madvise(begin, (size - before) / page * page, MADV_RANDOM);
}

#endif

}  // namespace fastcbir::io
