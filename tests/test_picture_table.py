"""Every row of the README's table of pictures is held by tests, which are named here."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = {
    "RGB, 8 bits": ["pictures.test_modes", "pictures.test_metadata_round_trip"],
    "grey, 8 bits; 1 bit": ["pictures.test_modes"],
    "palette": ["pictures.test_modes"],
    "RGBA, LA, palette with transparency": [
        "pictures.test_alpha_is_lossless",
        "pictures.test_lossy_alpha_is_smaller_and_close",
        "pictures.test_hidden_pixels_cost_next_to_nothing",
        "pictures.test_palette_transparency_becomes_alpha",
        "pictures.test_wholly_transparent_and_wholly_opaque",
        "png.test_a_transparent_colour_is_transparent_exactly_where_all_samples_equal_it",
        "bmp.test_alpha_of_one_bit_is_kept",
    ],
    "16-bit grey and colour (PNG, TIFF)": [
        "pictures.test_sixteen_bits_are_coded_from_the_full_precision",
        "pictures.test_sixteen_bit_colour_png_both_ways",
        "tiff.test_sixteen_bits_come_in_as_they_are",
        "tiff.test_sixteen_bits_of_lzw_and_others_stay",
        "tiff.test_sixteen_bits_are_written_to_tiff",
        "tiff.test_alpha_of_sixteen_bits_becomes_eight",
    ],
    "more than 8 bits in other formats (AVIF, HEIC, JPEG XL, JPEG 2000, PPM, ...)": [
        "plugins.test_ten_bits_of_heic_are_said_to_become_eight",
        "plugins.test_deep_ppm_is_said_to_become_eight_bits",
    ],
    "32-bit integers, floating point": [
        "tiff.test_samples_of_other_types_are_mapped_in_their_order",
        "tiff.test_values_come_back_from_tiff_to_half_a_step_of_their_range",
        "tiff.test_colour_of_floats_comes_back",
    ],
    "CMYK, Lab, YCbCr, HSV": [
        "pictures.test_conversions_are_said",
        "pictures.test_other_colour_spaces_go_through_their_profile_and_lose_it",
        "metadata.test_a_profile_that_does_not_suit_is_dropped_with_a_note",
    ],
    "PNG's gamma and chromaticities": [
        "png.test_a_linear_picture_is_shown_as_light_as_it_is",
        "png.test_chromaticities_give_the_colours_of_the_primaries",
    ],
    "several pages or frames": ["pictures.test_pages", "tiff.test_pages_of_sixteen_bits"],
    "HEIC, JPEG XL": [
        "plugins.test_pixels_and_transparency_come_in",
        "plugins.test_a_naked_codestream_of_jpeg_xl_ignores_the_orientation_in_exif",
    ],
    "EXIF, ICC, XMP": [
        "pictures.test_metadata_round_trip",
        "pictures.test_strip",
        "metadata.test_exif_of_an_upright_picture_is_kept_byte_for_byte",
        "metadata.test_metadata_larger_than_a_segment_do_not_cost_a_jpeg",
    ],
    "resolution, comment, IPTC, extended XMP of JPEG": [
        "metadata.test_iptc_comment_and_resolution_come_back",
        "metadata.test_extended_xmp_comes_back_in_jpeg_and_is_named_elsewhere",
    ],
    "other texts of PNG and tags of TIFF (GeoTIFF)": [
        "metadata.test_text_of_png_is_kept_or_named",
        "metadata.test_tags_of_tiff_are_kept_or_named",
    ],
    "gain map of JPEG (Ultra HDR, ISO 21496-1, Apple)": [
        "hdr_gain_map.test_the_gain_map_comes_back_byte_for_byte",
        "hdr_gain_map.test_the_gain_map_turns_with_its_picture",
        "hdr_gain_map.test_where_it_is_not_kept_no_xmp_names_it",
        "hdr_gain_map.test_through_the_command",
    ],
    "more pictures, videos and other bytes behind a JPEG": [
        "metadata.test_several_pictures_in_a_jpeg_are_named",
        "hdr_gain_map.test_the_video_of_a_motion_photo_is_named_and_no_longer_claimed",
        "hdr_gain_map.test_bytes_after_the_end_are_named_and_padding_is_not",
    ],
    "orientation tag": [
        "pictures.test_orientation_is_applied_once",
        "metadata.test_two_orientations_turn_a_picture_once",
    ],
}


def test_every_row_has_its_tests():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.partition("\n| picture | kept | converted |\n")[2].partition("\n\n")[0]
    rows = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()[1:]]
    assert rows == list(TESTS)


def test_every_test_that_is_named_is_there():
    for name in {name for names in TESTS.values() for name in names}:
        file, function = name.split(".")
        source = (ROOT / "tests" / f"test_{file}.py").read_text(encoding="utf-8")
        assert re.search(rf"^def {function}\(", source, re.MULTILINE), name
