"""Weights: safetensors in and out, the tables between names, the hub, the bundled models.

Files on disk carry the Hugging Face names; `names` has the one table between them, the names in
memory and the authors'. Nothing here knows torch modules. Only three things import torch: reading
into tensors, writing, and converting.
"""

from __future__ import annotations

from glpn.errors import EditedFileWarning as EditedFileWarning
from glpn.network.config import CONFIG_NAME as CONFIG_NAME
from glpn.weights.card import CARD_NAME as CARD_NAME
from glpn.weights.card import inherited_card as inherited_card
from glpn.weights.card import read_card as read_card
from glpn.weights.card import section as section
from glpn.weights.card import stated_terms as stated_terms
from glpn.weights.error_record import read_errors as read_errors
from glpn.weights.error_record import write_errors as write_errors
from glpn.weights.header import Header as Header
from glpn.weights.header import TensorEntry as TensorEntry
from glpn.weights.header import read_header as read_header
from glpn.weights.hub import HUB_OPTIONS as HUB_OPTIONS
from glpn.weights.hub import PUSH_OPTIONS as PUSH_OPTIONS
from glpn.weights.hub import bundled as bundled
from glpn.weights.hub import push as push
from glpn.weights.hub import resolve as resolve
from glpn.weights.integrity import require_changeable as require_changeable
from glpn.weights.integrity import require_intact as require_intact
from glpn.weights.integrity import sign as sign
from glpn.weights.integrity import signing as signing
from glpn.weights.names import ENCODER_PREFIX as ENCODER_PREFIX
from glpn.weights.names import require_match as require_match
from glpn.weights.names import to_disk_names as to_disk_names
from glpn.weights.names import to_memory_names as to_memory_names
from glpn.weights.shapes import expected_shapes as expected_shapes
from glpn.weights.store import CHECKSUMS_NAME as CHECKSUMS_NAME
from glpn.weights.store import ERRORS_NAME as ERRORS_NAME
from glpn.weights.store import GRAPH_NAME as GRAPH_NAME
from glpn.weights.store import PRECISION_NAME as PRECISION_NAME
from glpn.weights.store import PROCESSOR_NAME as PROCESSOR_NAME
from glpn.weights.store import TRUNK_NAME as TRUNK_NAME
from glpn.weights.store import WEIGHTS_NAME as WEIGHTS_NAME
from glpn.weights.store import file_hash as file_hash
from glpn.weights.store import read_arrays as read_arrays
from glpn.weights.store import read_tensors as read_tensors
from glpn.weights.store import settings_hash as settings_hash
from glpn.weights.store import torch_dtype as torch_dtype
from glpn.weights.store import weights_hash as weights_hash
from glpn.weights.store import write_model as write_model
