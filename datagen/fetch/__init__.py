"""Fetching pictures by a list of URLs (CC3M, CC12M or any) through img2dataset, into webdataset tars."""
