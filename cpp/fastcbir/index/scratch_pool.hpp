// ScratchPool: what workers need while they search, kept from call to call so that searches allocate nothing. Floor 5.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

namespace fastcbir {

template <class Scratch>
class ScratchPool {
 public:
  class Lease {
   public:
    explicit Lease(ScratchPool& pool) : pool_(pool) {
      const std::lock_guard lock(pool.mutex_);
      if (!pool.idle_.empty()) {
        scratch_ = std::move(pool.idle_.back());
        pool.idle_.pop_back();
      } else {
        scratch_ = std::make_unique<Scratch>();
      }
    }
    ~Lease() {
      const std::lock_guard lock(pool_.mutex_);
      pool_.idle_.push_back(std::move(scratch_));
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    Scratch& operator*() { return *scratch_; }

   private:
    ScratchPool& pool_;
    std::unique_ptr<Scratch> scratch_;
  };

  Lease lease() { return Lease(*this); }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> idle_;
};

}  // namespace fastcbir
