"""Code whose results are those of earlier code, byte for byte: its outputs keep their keys, and nothing reruns.

A release that changes the code behind an output, but not the output, has it in `_REPEATED`: under the digest of the
code whose results it repeats, that of the new code. `tests/reliability/test_same_results.py` runs both and compares
bytes, and `make same-results` writes the table.
"""

from collections.abc import Mapping

_REPEATED = {
    "2241c17ed8fe02dc4727ffe09458d2804aae3ce0830b91b33ab0db910f660498": [
        "40dc49bea6d9e9223aca78eb52c1783b3e3447e38049a27c3cf907ca5bd91986",  # corpus sample
    ],
    "a63693b9124150275738c208533f262c249dac341de9375e32c2bc0ce6c4137b": [
        "ca8bc42ffbfbf62fe9d98967dfd3dd06eb67ad072bcde796af3630ea1fb0c317",  # corpus snli
    ],
    "08efbf8ea36aec2b8e32a5fa39edff2d6ae0899925afb6736290ea6f50a22240": [
        "63c91051c4676736b1c57905ec2771d52e8df47d096e74df6d783eee454fa80a",  # corpus ag_news
    ],
    "2317d6d7ea057ddde734fb4b2da3d2f654bcc50b0a922cb04b13f57a2e52951e": [
        "02db7a7821131bad1e5dc451a56da2c8cac605c523d9ea383e9fda899acc9347",  # corpus files
    ],
    "15e2b16189177d6d0a3f2f190e3b64a9208f22c47861114cdfa1f061569a0dab": [
        "82c9d038b40f620a54815edb09fb6813539be71632039973d60c723c8feb5cf2",  # pack
    ],
    "42d8386ce647d45594a8079a7b5391dbe50338a5c2e35b288f8b005e963ef013": [
        "5ec86b54d14896a82f3b4ef8a7e819c4e6c73911e369d30e48515555c5dbe1b7",  # challenge_shards
    ],
    "add6ea8a492d3975f5cc6eb22edb3d27f50ba517d2c5e76d1bae31e5e3009961": [
        "3077bb2db09817f98330b517ab01843148196a99f28efbb5ce13e25839757ed7",  # audit
    ],
    "f38bfd7f9b71f75f4ad58c5af1104e669c9427f88c4ba2a7f90c3e91ff563412": [
        "593cdd57e6b28a5e11e387b3a1b72415812a88e87435ae6ee7addc12b5a067ac",  # finetune bert
    ],
    "24a91a2b0cfd2d0e3dfba9e83d4abff44d14f1925a5e4fc6b0abe53784f7c725": [
        "f13925232f19f000fe5a05c94b99241286f27759bd8e9dc75646103b885a439d",  # finetune camembert
    ],
    "b796ed10e6ceeb6d853480d49c8c132e2b1d0889faac2866b3108d9ecbe40d3c": [
        "ac9380607e32090240718cfa215c4c08b36d05026487f854f4b30ec6427ddf5a",  # finetune d2l
    ],
    "3c4c333b7df432c33dd76ad88c53ead80bca59f8797e0b82a97a66ee396d48ac": [
        "d096cc0a0808a6fb5091e090434a833fcd16be2dabf60ef86e5a8976803cbe16",  # finetune distilbert
    ],
    "d777c157b439289b0b3112389adf024aa992fa5ac4d31124775e6e278136aa4f": [
        "4eb3493106f5edb2afc9c2b92169a95c6f6e7cc389b21d65c49a71fef190a742",  # finetune electra
    ],
    "ce0255b0cb53b710fda2c2c6c7ee6b78636c3dcd0531cfae9d14342dc5e6e282": [
        "6686664b61986321b07d53279011b9191618e6b7e8f312a183cc148788cb0998",  # finetune modernbert
    ],
    "f706d63a002d37f825ff38f3699a6b28bb6b20aa38195cca8cdb0c587481ca6c": [
        "33bcd1ee723e745e92c63eb3bae704877ced351e11a0ab630111ca197c0ba8e9",  # finetune other
    ],
    "b4550185452ac435380cce3ab92aa0f28e6bd6aff9122bec256e42d94473c0d0": [
        "860ea5ef72476dd0feaaca1379f08b40a2bbc3869819801da7146d4d1f4be564",  # finetune roberta
    ],
    "d942947e4e3968ad94edd9dd90fbabef1af7cf33f7137abcc4d5d40c76c36b7e": [
        "f26c419b90024eb1ebe084edc9091e708f2056e91a0aba898c6fd5a8ee403b7d",  # finetune transformer
    ],
    "1981cad61d3453ee16f834c4f16f134ff50f3d3ab098f77cf1ee50dcd6f740af": [
        "ad32cbdc62c80a3dcd0d26c7d8cf84a3efb37e5f986acba45f9cf38a3ecf2ddc",  # finetune xlm_roberta
    ],
    "74d36d97b45ed9b2fb0052cf8066d12d8592c774e2b6fb613c0a45d62c07d668": [
        "716ff5426dd4b69c4d0ec87ea3a48724e2c47a95a1d8f96c5ece2e59f772aec6",  # evaluate bert
    ],
    "e5e6bb8f4a4a17f0663c81ddbef11da4a570d59ddd7e9bfd727da61677db5d0b": [
        "0f4b6d26a1984d55480c93e06a177dcfca1903e0587241313631e5a6ec65334e",  # evaluate camembert
    ],
    "2f3be56d6773c7a39c20d32c49592c555ab74a21fef602867f58c7350977956b": [
        "4fa001d1b8c1c05ead7624eddaf44ba61a4bfe7b12d8d678abc5b139f5314836",  # evaluate d2l
    ],
    "1804a212315a81111aff6e5fc6716d75955aeb1d08e94603e5de251f7b3a2132": [
        "aa3ddbeceec9c93ea3d8a82cf7402a93a9b55c1eaba366c60e76a46260fc8304",  # evaluate distilbert
    ],
    "dd7ed3ba679e708839b016c92ef8d991d2c68a12825c36fb037979a5b5d86b9d": [
        "81ea260decc2f4efd854461250a486d34a580be6d7253cff157340d39a3c7d82",  # evaluate electra
    ],
    "1d29f94df2a3aaad40d28a0d4b1377ed0991f43eb4d4d3fb5f16df471101842e": [
        "92d0c2420ce0ca3815f95001b954970efeeda32df72b08630424759ba1ac3817",  # evaluate modernbert
    ],
    "3acd417f23cd1b85d839cf4d674f01c15a277e2d12b2019a2e6900863a34bf2d": [
        "0bc43abe96279dafd9a4b0ff6614dad5bafbd72c6030d270643aef644eccbcd7",  # evaluate other
    ],
    "5a8cc03a3554d9a5e07974d8743ff9fd9b60eadd3a1d1faae72c1d83a4da13a6": [
        "4671266a81d1a6cd32cc3931fce8698f66ce3a890570a4a0bb2841fa70eef53f",  # evaluate roberta
    ],
    "9e940156249618055a1236437a344214f30811c54ad836671b99123cff4a3c86": [
        "184e537e05baedd2cbdc948eec1b814a0aefcb3c11b45c31b44437a9fd04d7a2",  # evaluate transformer
    ],
    "e7e11f832c32f8abb58c7bceb3acd25ec06794498a0625a0ecb81dd83a3cf87a": [
        "0ab27e52081157a104771731fdb87ed170ff2d5d8eec08f14fd5ae17344692d9",  # evaluate xlm_roberta
    ],
}
SAME_RESULTS: Mapping[str, str] = {code: earlier for earlier, codes in _REPEATED.items() for code in codes}
