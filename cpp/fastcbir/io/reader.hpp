// Reading an .fcx file: everything is checked before anything is allocated. Floor 4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fastcbir/core/aligned_buffer.hpp"
#include "fastcbir/io/file.hpp"
#include "fastcbir/io/format.hpp"

namespace fastcbir::io {

class Reader {
 public:
  // Opens the file and checks header, table and sizes, and with `verify` the checksum of every section. Throws
  // FormatError for a foreign, truncated or damaged file or one of a later version, std::system_error if it can't be
  // read.
  Reader(const std::filesystem::path& path, bool verify);

  const Header& header() const { return header_; }

  // A section as a buffer: a copy, or the mapped bytes themselves. Throws FormatError if it is absent or its size is
  // not `size`.
  AlignedBuffer section(std::uint32_t tag, std::size_t size, bool mapped) const;
  // One of any size; an absent one is empty.
  AlignedBuffer section(std::uint32_t tag, bool mapped) const;
  bool has(std::uint32_t tag) const { return find(tag) != nullptr; }

  // Throws FormatError with the file's name before `why`.
  [[noreturn]] void fail(const std::string& why) const;

 private:
  const SectionEntry* find(std::uint32_t tag) const;
  AlignedBuffer buffer_of(const SectionEntry& entry, bool mapped) const;

  std::string name_;
  std::shared_ptr<const MappedFile> file_;
  Header header_{};
  std::vector<SectionEntry> table_;
};

}  // namespace fastcbir::io
