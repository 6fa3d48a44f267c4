#pragma once

#include <algorithm>
#include <string_view>

#include <brume/core/error.h>
#include <brume/core/io/quote.h>

namespace brume::io {

/// @throws FormatError naming `who` if an archive's member would be unpacked outside its folder
inline void check_member_name(std::string_view name, std::string_view who) {
  bool stays = !name.empty() && name.front() != '/' && name.find('\\') == name.npos &&
               name.find('\0') == name.npos;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    stays = stays && name.substr(begin, end - begin) != "..";
    begin = end + 1;
  }
  check<FormatError>(stays, who, ": the member ", quote(name), " would leave its folder");
}

}  // namespace brume::io
