"""The ground floor: types, images, files. Imports numpy and Pillow at most, and nothing else of ours."""
