// Writing an .fcx file. Floor 4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "fastcbir/io/format.hpp"

namespace fastcbir::io {

struct Section {
  std::uint32_t tag;
  std::span<const std::byte> bytes;
  std::vector<std::byte> owned = {};  // what `bytes` views, where nothing else keeps it
};

// A section that is one struct.
template <class T>
Section struct_section(std::uint32_t tag, const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  Section section{tag, {}, {bytes.begin(), bytes.end()}};
  section.bytes = section.owned;
  return section;
}

// Writes header, table and sections to a temporary file that then takes the place of `path`; fills in what the header
// says of the file itself. Throws std::system_error: then the old file is still there.
void write_file(const std::filesystem::path& path, Header header, std::span<const Section> sections);

}  // namespace fastcbir::io
