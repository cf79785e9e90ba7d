"""Provinces by code where a shop's codes or the ISO names differ from what the supplier's lists show.

ISO 3166-2 (`pycountry`) is used for every other country. Codes are those that WooCommerce and Shopify forms send.
Whether a name is one of the supplier's own list is told by its address list only; these are its usual English names.
"""

from __future__ import annotations


def _table(text: str) -> dict[str, str]:
    pairs = (entry.split("=") for entry in text.replace("\n", " ").split(";"))
    return {code.strip(): name.strip() for codes, name in pairs for code in codes.split(",")}


NAMES: dict[str, dict[str, str]] = {
    "ES": _table(
        """C=A Coruna; VI=Alava; AB=Albacete; A=Alicante; AL=Almeria; O=Asturias; AV=Avila; BA=Badajoz; PM=Baleares;
        B=Barcelona; BU=Burgos; CC=Caceres; CA=Cadiz; S=Cantabria; CS=Castellon; CE=Ceuta; CR=Ciudad Real; CO=Cordoba;
        CU=Cuenca; GI=Girona; GR=Granada; GU=Guadalajara; SS=Guipuzcoa; H=Huelva; HU=Huesca; J=Jaen; LE=Leon;
        L=Lleida; LO=La Rioja; LU=Lugo; M=Madrid; MA=Malaga; ML=Melilla; MU=Murcia; NA=Navarra; OR,OU=Ourense;
        P=Palencia; GC=Las Palmas; PO=Pontevedra; SA=Salamanca; TF=Santa Cruz de Tenerife; SG=Segovia; SE=Sevilla;
        SO=Soria; T=Tarragona; TE=Teruel; TO=Toledo; V=Valencia; VA=Valladolid; BI=Vizcaya; ZA=Zamora; Z=Zaragoza"""
    ),
    "MX": _table(
        """AG,AGS,AGU=Aguascalientes; BC,BCN=Baja California; BS,BCS=Baja California Sur; CM,CAMP,CAM=Campeche;
        CS,CHIS,CHP=Chiapas; CH,CHIH,CHH=Chihuahua; DF,CMX,CDMX=Ciudad de Mexico; CO,COAH,COA=Coahuila;
        CL,COL=Colima; DG,DGO,DUR=Durango; GT,GTO,GUA=Guanajuato; GR,GRO=Guerrero; HG,HGO,HID=Hidalgo;
        JA,JAL=Jalisco; MX,MEX=Estado de Mexico; MI,MICH,MIC=Michoacan; MO,MOR=Morelos; NA,NAY=Nayarit;
        NL,NLE=Nuevo Leon; OA,OAX=Oaxaca; PU,PUE=Puebla; QT,QRO,QUE=Queretaro; QR,Q ROO,ROO=Quintana Roo;
        SL,SLP=San Luis Potosi; SI,SIN=Sinaloa; SO,SON=Sonora; TB,TAB=Tabasco; TM,TAMPS,TAM=Tamaulipas;
        TL,TLAX,TLA=Tlaxcala; VE,VER=Veracruz; YU,YUC=Yucatan; ZA,ZAC=Zacatecas"""
    ),
    "AT": _table(
        """1=Burgenland; 2=Carinthia; 3=Lower Austria; 4=Upper Austria; 5=Salzburg; 6=Styria; 7=Tyrol; 8=Vorarlberg;
        9=Vienna"""
    ),
    "IT": _table(
        """AQ,CH,PE,TE=Abruzzo; MT,PZ=Basilicata; CZ,CS,KR,RC,VV=Calabria; AV,BN,CE,NA,SA=Campania;
        BO,FC,FE,MO,PC,PR,RA,RE,RN=Emilia-Romagna; GO,PN,TS,UD=Friuli-Venezia Giulia; FR,LT,RI,RM,VT=Lazio;
        GE,IM,SP,SV=Liguria; BG,BS,CO,CR,LC,LO,MB,MI,MN,PV,SO,VA=Lombardia; AN,AP,FM,MC,PU=Marche; CB,IS=Molise;
        AL,AT,BI,CN,NO,TO,VB,VC=Piemonte; BA,BR,BT,FG,LE,TA=Puglia; CA,CI,NU,OG,OR,OT,SS,SU,VS=Sardegna;
        AG,CL,CT,EN,ME,PA,RG,SR,TP=Sicilia; AR,FI,GR,LI,LU,MS,PI,PO,PT,SI=Toscana; BZ,TN=Trentino-Alto Adige;
        PG,TR=Umbria; AO=Valle d'Aosta; BL,PD,RO,TV,VE,VI,VR=Veneto"""
    ),
}
"""Italy: the supplier's `province` is the region [report, reference 7.1.3], so province codes map to regions."""

CLOSED = frozenset(("AU", "BR", "CA", "US"))
"""Countries whose supplier lists are known to follow ISO: a text that is no province of theirs is a mistake."""

WITHOUT = frozenset(("GB",))
"""ISO codes exist but addresses do not use them."""
