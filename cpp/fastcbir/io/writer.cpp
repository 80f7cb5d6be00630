#include "fastcbir/io/writer.hpp"

#include <cstring>

#include "fastcbir/core/types.hpp"
#include "fastcbir/io/checksum.hpp"
#include "fastcbir/io/file.hpp"

namespace fastcbir::io {

void write_file(const std::filesystem::path& path, Header header, std::span<const Section> sections) {
  std::vector<SectionEntry> table;
  std::size_t offset = sizeof(Header) + sections.size() * sizeof(SectionEntry);
  for (const Section& section : sections) {
    offset = round_up(offset, section_alignment);
    table.push_back({section.tag, 0, offset, section.bytes.size(), xxh64(section.bytes.data(), section.bytes.size())});
    offset += section.bytes.size();
  }
  std::memcpy(header.magic, magic, sizeof(magic));
  header.version = format_version;
  header.file_size = offset;
  header.section_count = static_cast<std::uint16_t>(sections.size());
  header.table_checksum = xxh64(table.data(), table.size() * sizeof(SectionEntry));
  header.header_checksum = xxh64(&header, offsetof(Header, header_checksum));

  AtomicFile file(path);
  file.write(&header, sizeof(header));
  file.write(table.data(), table.size() * sizeof(SectionEntry));
  std::size_t written = sizeof(Header) + table.size() * sizeof(SectionEntry);
  for (std::size_t i = 0; i < sections.size(); ++i) {
    constexpr std::byte padding[section_alignment] = {};
    file.write(padding, table[i].offset - written);
    file.write(sections[i].bytes.data(), sections[i].bytes.size());
    written = table[i].offset + table[i].size;
  }
  file.commit();
}

}  // namespace fastcbir::io
