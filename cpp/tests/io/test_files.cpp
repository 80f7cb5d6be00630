#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include "fastcbir/io/file.hpp"
#include "fastcbir/io/reader.hpp"
#include "fastcbir/io/writer.hpp"

using namespace fastcbir;

namespace {

struct Folder {
  std::filesystem::path path;
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "fastcbir-io-").string();
    path = name + std::to_string(reinterpret_cast<std::uintptr_t>(this));
    std::filesystem::create_directories(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::size_t count() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path), {}));
  }
};

}  // namespace

TEST_CASE("a file without commit never was") {
  const Folder folder;
  const auto path = folder.path / "a";
  {
    io::AtomicFile file(path);
    file.write("old", 3);
    file.commit();
  }
  {
    io::AtomicFile file(path);
    file.write("new and longer", 14);
  }
  CHECK(std::filesystem::file_size(path) == 3);
  CHECK(folder.count() == 1);
  CHECK_THROWS_AS(io::AtomicFile(folder.path / "none" / "a"), std::system_error);
  CHECK_THROWS_AS(io::MappedFile(folder.path / "none"), std::system_error);
}

TEST_CASE("sections come back, as copies and mapped") {
  const Folder folder;
  const auto path = folder.path / "some.fcx";
  const std::string first(1000, 'x');
  const std::string second = "short";
  const auto bytes = [](const std::string& text) { return std::as_bytes(std::span(text)); };
  io::Header header{};
  header.kind = 1;
  header.dim = 3;
  const io::Section sections[] = {
      {io::tag("AAAA"), bytes(first)}, {io::tag("BBBB"), {}}, {io::tag("CCCC"), bytes(second)}};
  io::write_file(path, header, sections);
  for (const bool mapped : {false, true}) {
    const io::Reader reader(path, true);
    CHECK(reader.header().dim == 3);
    const AlignedBuffer a = reader.section(io::tag("AAAA"), 1000, mapped);
    CHECK(std::memcmp(a.data(), first.data(), 1000) == 0);
    CHECK(reinterpret_cast<std::uintptr_t>(a.data()) % 64 == 0);
    CHECK(a.borrowed() == mapped);
    CHECK(reader.section(io::tag("BBBB"), mapped).size() == 0);
    CHECK(reader.section(io::tag("CCCC"), mapped).size() == 5);
    CHECK(!reader.has(io::tag("DDDD")));
    CHECK_THROWS_AS(reader.section(io::tag("AAAA"), 999, mapped), io::FormatError);
    CHECK_THROWS_AS(reader.section(io::tag("DDDD"), 1, mapped), io::FormatError);
  }
}
