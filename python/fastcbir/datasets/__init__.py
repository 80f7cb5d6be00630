"""Data sets to search: readers for the formats in use, a named catalogue, and sets that need no download.

    data = fastcbir.datasets.load_dataset("sift-photos")       # or "sift-128-euclidean", or a path
    index = fastcbir.Index(data.dim, metric=data.index_metric)
    index.add(data.base)
    hits = index.search(data.queries, k=10)
    fastcbir.metrics.recall_at_k(hits.ids, data.neighbors, 10)

Importing this loads numpy alone; h5py, OpenCV and the extractor are loaded by what needs them.
"""

from fastcbir.datasets.catalogue import CATALOGUE, Entry
from fastcbir.datasets.deep1b import read_parts
from fastcbir.datasets.fasta import FastaRecord, read_fasta, write_fasta
from fastcbir.datasets.folder import assemble
from fastcbir.datasets.glove import WordVectors, read_glove
from fastcbir.datasets.hdf5 import load_hdf5, save_hdf5
from fastcbir.datasets.images import ImageFolder, image_folder
from fastcbir.datasets.load import dataset_cache, dataset_names, load_dataset
from fastcbir.datasets.npy import read_npy
from fastcbir.datasets.package_photos import PackagePhoto
from fastcbir.datasets.registry import ADAPTERS, Adapter
from fastcbir.datasets.revisitop import QueryTruth, RevisitopTruth, load_revisitop, save_revisitop_json
from fastcbir.datasets.truth import exact_neighbors, neighbor_distances, with_truth
from fastcbir.datasets.types import Dataset
from fastcbir.datasets.vecs import read_vecs, write_vecs
from fastcbir.datasets.xbin import read_truth, read_xbin, write_truth, write_xbin
from fastcbir.download import DownloadError, download

__all__ = [
    "ADAPTERS",
    "CATALOGUE",
    "Adapter",
    "Dataset",
    "DownloadError",
    "Entry",
    "FastaRecord",
    "ImageFolder",
    "PackagePhoto",
    "QueryTruth",
    "RevisitopTruth",
    "WordVectors",
    "assemble",
    "dataset_cache",
    "dataset_names",
    "download",
    "exact_neighbors",
    "image_folder",
    "load_dataset",
    "load_hdf5",
    "load_revisitop",
    "neighbor_distances",
    "read_fasta",
    "read_glove",
    "read_npy",
    "read_parts",
    "read_truth",
    "read_vecs",
    "read_xbin",
    "save_hdf5",
    "save_revisitop_json",
    "with_truth",
    "write_fasta",
    "write_truth",
    "write_vecs",
    "write_xbin",
]
