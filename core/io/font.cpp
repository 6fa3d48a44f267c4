#include <brume/core/io/font.h>

#include <string_view>

namespace brume::io {
namespace {

// Drawn as text, so that a glyph can be seen and mended: '#' is ink. Seven lines hold the
// characters named above them, six columns apart.
struct Row {
  std::string_view characters;
  std::array<std::string_view, kGlyphHeight> lines;
};

constexpr Row kRows[] = {
    {"0123456789",
     {" ###    #    ###  #####    #  #####  ##   #####  ###   ###  ",
      "#   #  ##   #   #    #    ##  #      #        # #   # #   # ",
      "#  ##   #       #   #    # #  ####  #        #  #   # #   # ",
      "# # #   #      #     #  #  #      # ####    #    ###   #### ",
      "##  #   #     #       # #####     # #   #  #    #   #     # ",
      "#   #   #    #    #   #    #  #   # #   #  #    #   #    #  ",
      " ###   ###  #####  ###     #   ###   ###   #     ###   ##   "}},
    {"abcdefghij",
     {"      #               #         ##        #       #      #  ",
      "      #               #        #  #       #                 ",
      " ###  # ##   ###   ## #  ###   #     #### # ##   ##     ##  ",
      "    # ##  # #     #  ## #   # ###   #   # ##  #   #      #  ",
      " #### #   # #     #   # #####  #    #   # #   #   #      #  ",
      "#   # #   # #   # #   # #      #     #### #   #   #   #  #  ",
      " #### ####   ###   ####  ###   #        # #   #  ###   ##   "}},
    {"klmnopqrst",
     {"#      ##                                              #    ",
      "#       #                                              #    ",
      "#  #    #   ## #  # ##   ###  ####   ## # # ##   ###  ###   ",
      "# #     #   # # # ##  # #   # #   # #  ## ##  # #      #    ",
      "##      #   # # # #   # #   # ####   #### #      ###   #    ",
      "# #     #   #   # #   # #   # #         # #         #  #  # ",
      "#  #   ###  #   # #   #  ###  #         # #     ####    ##  "}},
    {"uvwxyzABCD",
     {"                                     ###  ####   ###  ###   ",
      "                                    #   # #   # #   # #  #  ",
      "#   # #   # #   # #   # #   # ##### #   # #   # #     #   # ",
      "#   # #   # #   #  # #  #   #    #  ##### ####  #     #   # ",
      "#   # #   # # # #   #    ####   #   #   # #   # #     #   # ",
      "#  ##  # #  # # #  # #      #  #    #   # #   # #   # #  #  ",
      " ## #   #    # #  #   #  ###  ##### #   # ####   ###  ###   "}},
    {"EFGHIJKLMN",
     {"##### #####  ###  #   #  ###    ### #   # #     #   # #   # ",
      "#     #     #   # #   #   #      #  #  #  #     ## ## #   # ",
      "#     #     #     #   #   #      #  # #   #     # # # ##  # ",
      "####  ####  # ### #####   #      #  ##    #     # # # # # # ",
      "#     #     #   # #   #   #      #  # #   #     #   # #  ## ",
      "#     #     #   # #   #   #   #  #  #  #  #     #   # #   # ",
      "##### #      #### #   #  ###   ##   #   # ##### #   # #   # "}},
    {"OPQRSTUVWX",
     {" ###  ####   ###  ####   #### ##### #   # #   # #   # #   # ",
      "#   # #   # #   # #   # #       #   #   # #   # #   # #   # ",
      "#   # #   # #   # #   # #       #   #   # #   # #   #  # #  ",
      "#   # ####  #   # ####   ###    #   #   # #   # # # #   #   ",
      "#   # #     # # # # #       #   #   #   # #   # # # #  # #  ",
      "#   # #     #  #  #  #      #   #   #   #  # #  # # # #   # ",
      " ###  #      ## # #   # ####    #    ###    #    # #  #   # "}},
    {"YZ.,:-+/()",
     {"#   # #####                                        #   #    ",
      "#   #     #              ##           #       #   #     #   ",
      " # #     #               ##           #      #   #       #  ",
      "  #     #                     ##### #####   #    #       #  ",
      "  #    #           ##    ##           #    #     #       #  ",
      "  #   #      ##     #    ##           #   #       #     #   ",
      "  #   #####  ##    #                               #   #    "}},
    {"=%_^|",
     {"      ##            #     #   ", "      ##  #        # #    #   ",
      "#####    #        #   #   #   ", "        #                 #   ",
      "#####  #                  #   ", "      #  ##               #   ",
      "         ## #####         #   "}},
};

}  // namespace

std::array<uint8_t, kGlyphWidth> glyph(char c) {
  std::array<uint8_t, kGlyphWidth> columns{};
  for (const Row& row : kRows) {
    const size_t place = row.characters.find(c);
    if (place == std::string_view::npos) continue;
    for (size_t y = 0; y < kGlyphHeight; ++y)
      for (size_t x = 0; x < kGlyphWidth; ++x)
        if (row.lines[y][place * 6 + x] == '#')
          columns[x] = static_cast<uint8_t>(columns[x] | 1U << y);
  }
  return columns;
}

}  // namespace brume::io
