// XXH64, the checksum of .fcx files. Floor 4.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastcbir::io {

// The 64-bit xxHash (Yann Collet's specification, seed 0): several bytes a cycle without special instructions.
std::uint64_t xxh64(const void* data, std::size_t size);

}  // namespace fastcbir::io
