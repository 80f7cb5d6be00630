// The locks of Index, which its members take. Floor 5; for index*.cpp only.
#pragma once

#include "fastcbir/index/index.hpp"

namespace fastcbir {

class Index::SharedLock {
 public:
  explicit SharedLock(const Index& index) {
    index.check_not_inside_callback();
    const std::lock_guard gate(index.gate_mutex_);
    lock_ = std::shared_lock(index.data_mutex_);
    held_by_this_thread = &index;
  }
  ~SharedLock() { held_by_this_thread = nullptr; }

  static inline thread_local const Index* held_by_this_thread = nullptr;

 private:
  std::shared_lock<std::shared_mutex> lock_;
};

// Excludes other writers for its lifetime, and searches while `data()` is held.
class Index::WriterLock {
 public:
  explicit WriterLock(Index& index) : index_(index) {
    index.check_not_inside_callback();
    lock_ = std::unique_lock(index.writer_mutex_);
    index.writer_ = std::this_thread::get_id();
  }
  ~WriterLock() { index_.writer_ = std::thread::id(); }

  std::unique_lock<std::shared_mutex> data() {
    const std::lock_guard gate(index_.gate_mutex_);
    return std::unique_lock(index_.data_mutex_);
  }

 private:
  Index& index_;
  std::unique_lock<std::mutex> lock_;
};

}  // namespace fastcbir
