#include <brume/nn/data/png_folder.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/io/fs.h>
#include <brume/core/io/png.h>

namespace brume::nn {
namespace {

struct Listing {
  std::vector<std::string> pictures, folders;  // paths, sorted
};

bool is_png(std::string_view name) {
  constexpr std::string_view kEnd = ".png";
  return name.size() >= kEnd.size() &&
         std::equal(kEnd.begin(), kEnd.end(), name.end() - kEnd.size(), [](char want, char is) {
           return want == (is >= 'A' && is <= 'Z' ? is - 'A' + 'a' : is);
         });
}

Listing listing_of(const std::string& folder) {
  Listing out;
  for (const std::string& name : io::list_folder(folder)) {
    const std::string path = io::join_path(folder, name);
    if (io::file_status(path).kind == io::FileKind::folder)
      out.folders.push_back(path);
    else if (is_png(name))
      out.pictures.push_back(path);
  }
  return out;
}

// A channel of transparency that hides nothing goes; what else it means is the user's to say.
Tensor read_opaque(const std::string& path) {
  const Tensor image = io::read_png(path, {.keep_alpha = true, .refuse_16_bits = true});
  const int64_t C = image.size(0);
  if (C % 2 == 1) return image;
  check<FormatError>(min(slice(image, 0, C - 1, C)).item() == 255, path,
                     ": a picture with transparent pixels, whose colours nobody sees; blend it "
                     "with a background first");
  return slice(image, 0, 0, C - 1);
}

Tensor read_pictures(const std::vector<std::string>& paths) {
  Tensor all;
  size_t bytes = 0;
  for (size_t i = 0; i < paths.size(); ++i) {
    const Tensor image = relayout(read_opaque(paths[i]), Layout::row_major);
    if (i == 0) {
      const Shape& s = image.shape();
      all = empty({static_cast<int64_t>(paths.size()), s[0], s[1], s[2]}, {.dtype = DType::u8});
      bytes = static_cast<size_t>(image.numel());
    }
    const Shape wanted{all.size(1), all.size(2), all.size(3)};
    check(image.shape() == wanted, "'", paths[i], "' is ", image.shape(), ", but '", paths[0],
          "' is ", wanted, "; bring all pictures to one size and colour mode");
    std::memcpy(all.host<uint8_t>().data() + i * bytes, image.host<const uint8_t>().data(), bytes);
  }
  return all;
}

}  // namespace

LabelledImages read_png_folder(const std::string& path) {
  const Listing top = listing_of(path);
  std::vector<std::string> paths = top.pictures;
  std::vector<int64_t> labels;
  check<FormatError>(paths.empty() || top.folders.empty(), "'", path,
                     "' has pictures and sub-folders; put every picture into the sub-folder of its "
                     "class, or all into one folder");
  for (size_t c = 0; c < top.folders.size(); ++c) {
    const auto [members, deeper] = listing_of(top.folders[c]);
    check<FormatError>(deeper.empty(), "'", deeper.empty() ? "" : deeper[0],
                       "' is a folder inside a class's; put its pictures beside the others of the "
                       "class");
    check<FormatError>(!members.empty(), "'", top.folders[c], "' has no .png");
    paths.insert(paths.end(), members.begin(), members.end());
    labels.insert(labels.end(), members.size(), static_cast<int64_t>(c));
  }
  check<FormatError>(!paths.empty(), "'", path, "' has no .png");
  const auto count = static_cast<int64_t>(labels.size());
  return {.x = read_pictures(paths), .labels = count > 0 ? from_vector(labels, {count}) : Tensor{}};
}

}  // namespace brume::nn
