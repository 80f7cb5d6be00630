// What the system is told of how a mapped file will be read. Floor 4.
#pragma once

#include <cstddef>

namespace fastcbir::io {

// Bytes of a mapped file that will be read here and there: a page when it is needed, none ahead. What fits in half of the
// machine's memory is better read ahead, since all of it will soon be there. Without effect where the system takes no such
// advice.
void expect_scattered_reads(const void* data, std::size_t size) noexcept;

}  // namespace fastcbir::io
