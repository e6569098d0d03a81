"""Where images come from: bundled photos, folders, CSV files and webdataset tars, all as one kind of iterator."""
