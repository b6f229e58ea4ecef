"""Tests of the page of explore; a package, so that its fixtures are not taken for those of all tests."""
